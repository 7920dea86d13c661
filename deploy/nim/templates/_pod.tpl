{{- define "nim.selector" -}}
app.kubernetes.io/name: nim
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "nim.labels" -}}
{{ include "nim.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "nim.cache" -}}
{{ .Release.Name }}-cache
{{- end }}

{{- /* What a pod says of itself, used by the Deployment and by the admission check alike. */}}
{{- define "nim.podMetadata" -}}
labels:
  {{- include "nim.selector" . | nindent 2 }}
  {{- with .Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "nim.podSpec" -}}
# The namespace's Services would otherwise appear as variables such as NIM_PORT, which NIM takes for settings of its own.
enableServiceLinks: false
automountServiceAccountToken: false
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  # Changing the owner of 100 GB of weights at every start takes minutes.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
imagePullSecrets:
  - name: {{ .Values.pullSecret }}
{{- $selector := .Values.nodeSelector }}
{{- with .Values.gpu.shape }}
{{- $selector = merge (dict "node.kubernetes.io/instance-type" .) $selector }}
{{- end }}
{{- with $selector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
tolerations:
  # Its value is "present" on some nodes and empty on others.
  - key: nvidia.com/gpu
    operator: Exists
    effect: NoSchedule
  {{- with .Values.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
containers:
  - name: nim
    image: {{ .Values.image | quote }}
    imagePullPolicy: {{ .Values.pullPolicy }}
    ports:
      - name: http
        containerPort: 8000
    env:
      - name: NGC_API_KEY
        valueFrom:
          secretKeyRef: {name: {{ .Values.apiSecret }}, key: NGC_API_KEY}
      - name: NIM_CACHE_PATH
        value: /opt/nim/.cache
      {{- with .Values.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    securityContext:
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}
    resources:
      {{- $gpus := dict "nvidia.com/gpu" (.Values.gpu.count | int | toString) }}
      requests:
        {{- toYaml (merge (deepCopy $gpus) .Values.resources.requests) | nindent 8 }}
      limits:
        {{- toYaml (merge (deepCopy $gpus) .Values.resources.limits) | nindent 8 }}
    # Until this one succeeds the others do not count, so a model may load for as long as its budget allows.
    startupProbe:
      httpGet: {path: /v1/health/ready, port: http}
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: {{ div (add .Values.budgets.load 4) 5 }}
    readinessProbe:
      httpGet: {path: /v1/health/ready, port: http}
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 3
    livenessProbe:
      httpGet: {path: /v1/health/live, port: http}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    volumeMounts:
      - {name: cache, mountPath: /opt/nim/.cache}
      - {name: shared-memory, mountPath: /dev/shm}
volumes:
  - name: cache
    {{- if .Values.cache.enabled }}
    persistentVolumeClaim:
      claimName: {{ include "nim.cache" . }}
    {{- else }}
    emptyDir: {}
    {{- end }}
  - name: shared-memory
    emptyDir:
      medium: Memory
      sizeLimit: {{ .Values.sharedMemory }}
{{- end }}
