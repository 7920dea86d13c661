package node

import (
	"context"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// puller returns an image service that has seen one pod with these annotations.
func puller(t *testing.T, pairs ...string) *scriptedImages {
	t.Helper()
	store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{
		"uid": func(object any) ([]string, error) { return []string{string(object.(*v1.Pod).UID)}, nil },
	})
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "1", Annotations: scripting(append(pairs, "pull-seconds", "0")...)},
		Spec:       v1.PodSpec{Containers: []v1.Container{{Name: "nim", Image: nim}, {Name: "twin", Image: nim}}},
	}
	if err := store.Add(pod); err != nil {
		t.Fatal(err)
	}
	return newImages(&pods{store}, &hardware{faults: newFaults()})
}

func pull(images *scriptedImages, password string) error {
	var auth *cri.AuthConfig
	if password != "" {
		auth = &cri.AuthConfig{Username: "$oauthtoken", Password: password}
	}
	_, err := images.PullImage(context.Background(), &cri.ImageSpec{Image: nim}, auth, &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Uid: "1"}})
	return err
}

func TestAnImageIsOnTheNodeOnceItWasPulled(t *testing.T) {
	images := puller(t, "image-bytes", "77")
	if images.find(nim) != nil {
		t.Fatal("it was there before")
	}
	if err := pull(images, ""); err != nil {
		t.Fatal(err)
	}
	found := images.find(nim)
	if found.GetSize() != 77 || images.find(found.GetId()) != found || images.find(found.GetRepoDigests()[0]) != found {
		t.Errorf("got %v", found)
	}
}

func TestAnImageThatNeedsAPasswordTakesOnlyTheRightOne(t *testing.T) {
	images := puller(t, "pull", "needs-password", "pull-password", "right")
	for password, token := range map[string]string{"": "anonymous token", "wrong": "oauth token"} {
		if err := pull(images, password); err == nil || !strings.Contains(err.Error(), token) || !strings.HasSuffix(err.Error(), "401 Unauthorized") {
			t.Errorf("password %q: got %v", password, err)
		}
	}
	if err := pull(images, "right"); err != nil {
		t.Errorf("the right password: got %v", err)
	}
}

func TestTheContainerWithAKeyOfItsOwnDecidesAboutASharedPull(t *testing.T) {
	if err := pull(puller(t, "pull.twin", "forbidden"), ""); err == nil || !strings.HasSuffix(err.Error(), "403 Forbidden") {
		t.Errorf("got %v", err)
	}
}

func TestAPullWithAnInvalidAnnotationFailsWithTheSentence(t *testing.T) {
	if err := pull(puller(t, "pull", "later"), ""); err == nil || !strings.Contains(err.Error(), `has the value "later": want one of`) {
		t.Errorf("got %v", err)
	}
}

func TestAddressesAreUsedAgainAsLateAsPossible(t *testing.T) {
	addresses := newAddresses("127.77.11")
	first, _ := addresses.take()
	addresses.giveBack(first)
	if second, _ := addresses.take(); first != "127.77.11.1" || second != "127.77.11.2" {
		t.Errorf("got %s, then %s", first, second)
	}
	for range 253 {
		if _, err := addresses.take(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := addresses.take(); err == nil || !strings.Contains(err.Error(), "no IP addresses available") {
		t.Errorf("a full block: got %v", err)
	}
}
