package plane

import (
	"fmt"
	"sort"
	"strings"

	admission "k8s.io/api/admissionregistration/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// annotationPrefix is before the key of every annotation by which a test scripts what happens.
const annotationPrefix = "scripted.nimble-watch.test/"

// form is what a value may be: a regular expression, and the same for people.
type form struct {
	key, expression, words string
	whole                  bool // of the pod as a whole: takes no container's name
}

const (
	anything = `(?s)^.+$`
	number   = `^[0-9]{1,6}([.][0-9]+)?$`
	attempt  = `([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]|run)`
)

func choice(key string, values ...string) form {
	return form{key: key, expression: "^(" + strings.Join(values, "|") + ")$", words: "one of " + strings.Join(values, ", ")}
}

func whole(f form) form { f.whole = true; return f }

func text(key string) form { return form{key: key, expression: anything, words: "a text"} }
func seconds(key string) form {
	return form{key: key, expression: number, words: "seconds, such as 0.5"}
}

// forms are all annotations there are, by the resource that takes them. The kubelet's runtime and the scripted
// controllers read them; a key or value that is not here is refused by the API server, so that no test can believe in a
// fault that never happens.
var forms = map[string][]form{
	"pods": {
		whole(choice("runtime", "containerd", "cri-o")),
		choice("pull", "ok", "not-found", "unauthorized", "forbidden", "rate-limited", "no-such-host",
			"connection-refused", "timeout", "disk-full", "no-platform", "payment-required", "needs-password"),
		text("pull-password"),
		seconds("pull-seconds"),
		{key: "image-bytes", expression: `^[0-9]+$`, words: "a number of bytes"},
		whole(text("sandbox-error")),
		text("create-error"),
		text("start-error"),
		{key: "exit", expression: "^" + attempt + "(, ?" + attempt + ")*$", words: "exit codes from 0 to 255 or run, one for each attempt, such as 1,1,run"},
		{key: "exit-reason", expression: `^(Error|OOMKilled|Completed)(,(Error|OOMKilled|Completed))*$`, words: "Error, OOMKilled or Completed, one for each attempt"},
		seconds("exit-after"),
		text("log"),
		seconds("http-ready-after"),
		choice("http-before", "503", "refused"),
		seconds("http-fail-after"),
	},
	"nodes": {choice("fault", "not-ready", "silent", "no-gpu", "disk-pressure")},
	"persistentvolumeclaims": {
		choice("provision", "ok", "limit-exceeded", "never"),
		seconds("provision-seconds"),
	},
	"services": {
		choice("load-balancer", "ok", "limit-exceeded", "never"),
		seconds("load-balancer-seconds"),
	},
}

func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// table writes a map for the Common Expression Language.
func table(of []form, value func(form) string) string {
	entries := make([]string, len(of))
	for i, f := range of {
		entries[i] = quote(annotationPrefix+f.key) + ": " + quote(value(f))
	}
	return "{" + strings.Join(entries, ", ") + "}"
}

// annotationPolicy refuses annotations of ours that nobody would act on, at the API server, with a sentence.
func annotationPolicy(resource string) (*admission.ValidatingAdmissionPolicy, *admission.ValidatingAdmissionPolicyBinding) {
	known := forms[resource]
	keys := make([]string, len(known))
	for i, f := range known {
		keys[i] = f.key
	}
	sort.Strings(keys)
	// `plain` is a key without the container's name: the prefix has dots of its own, so only what follows it is cut.
	plain := fmt.Sprintf("(%s + k.substring(%d).split('.')[0])", quote(annotationPrefix), len(annotationPrefix))
	value := "object.metadata.annotations[k]"
	containers := "[]"
	var pods []string
	for _, f := range known {
		if resource == "pods" && f.whole {
			pods = append(pods, quote(annotationPrefix+f.key))
		}
	}
	if resource == "pods" {
		containers = "object.spec.containers.map(c, c.name)"
		for _, more := range []string{"initContainers", "ephemeralContainers"} {
			containers += fmt.Sprintf(" + (has(object.spec.%s) ? object.spec.%s.map(c, c.name) : [])", more, more)
		}
	}
	forbidden := meta.StatusReasonForbidden
	validation := func(good, bad string) admission.Validation {
		return admission.Validation{
			Reason:            &forbidden,
			Expression:        fmt.Sprintf("variables.ours.all(k, %s)", good),
			MessageExpression: fmt.Sprintf("variables.ours.filter(k, !(%s)).map(k, %s).join('; ')", good, bad),
		}
	}
	unsuffixed := fmt.Sprintf("%s == k", plain)
	suffix := fmt.Sprintf("k.substring(size(%s) + 1)", plain)
	allowed := fmt.Sprintf("(%s || (!(%s in [%s]) && %s in variables.containers))", unsuffixed, plain, strings.Join(pods, ", "), suffix)
	isKnown := plain + " in variables.words"
	right := fmt.Sprintf("%s.matches(variables.forms[%s])", value, plain)
	name := "scripted-annotations-" + resource
	fail := admission.Fail
	policy := &admission.ValidatingAdmissionPolicy{
		ObjectMeta: meta.ObjectMeta{Name: name},
		Spec: admission.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admission.MatchResources{ResourceRules: []admission.NamedRuleWithOperations{{
				RuleWithOperations: admission.RuleWithOperations{
					Operations: []admission.OperationType{admission.Create, admission.Update},
					Rule:       admission.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}},
				},
			}}},
			MatchConditions: []admission.MatchCondition{{
				Name:       "scripted",
				Expression: fmt.Sprintf("has(object.metadata.annotations) && object.metadata.annotations.exists(k, k.startsWith(%s))", quote(annotationPrefix)),
			}},
			Variables: []admission.Variable{
				{Name: "ours", Expression: fmt.Sprintf("object.metadata.annotations.filter(k, k.startsWith(%s))", quote(annotationPrefix))},
				{Name: "forms", Expression: table(known, func(f form) string { return f.expression })},
				{Name: "words", Expression: table(known, func(f form) string { return f.words })},
				{Name: "containers", Expression: containers},
			},
			Validations: []admission.Validation{
				validation(isKnown, fmt.Sprintf("'annotation ' + k + ' is unknown; known are %s'", strings.Join(keys, ", "))),
				validation(fmt.Sprintf("!(%s) || %s", isKnown, allowed),
					"'annotation ' + k + ': what follows the key is no container of this '"+"+'"+strings.TrimSuffix(resource, "s")+", or the key takes none'"),
				validation(fmt.Sprintf("!(%s) || %s", isKnown, right),
					fmt.Sprintf("'annotation ' + k + ' has the value \"' + %s + '\"; it takes ' + variables.words[%s]", value, plain)),
			},
		},
	}
	binding := &admission.ValidatingAdmissionPolicyBinding{
		ObjectMeta: meta.ObjectMeta{Name: name},
		Spec: admission.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admission.ValidationAction{admission.Deny},
		},
	}
	return policy, binding
}
