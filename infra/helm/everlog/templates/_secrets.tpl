{{- /*
Of (dict "root" $ "role" NAME): the secrets that a role is given, as sources of one projected volume. Each source names its
single key, so that a Secret which holds more gives no more.
*/ -}}
{{- define "everlog.secret.source" -}}
{{- if .secret.existingSecret }}
- secret:
    name: {{ .secret.existingSecret }}
    items: [{ key: {{ .secret.key | quote }}, path: {{ .file }} }]
{{- end }}
{{- end -}}

{{- define "everlog.secret.sources" -}}
{{- $values := .root.Values -}}
{{- $queue := required "queue.url.existingSecret is required: a Secret with the URL of the queue server" $values.queue.url.existingSecret -}}
{{- include "everlog.secret.source" (dict "secret" $values.queue.url "file" "queue-url") -}}
{{- if eq .role "receiver" -}}
{{- if not $values.github.hosts.receiverSecret -}}
{{- $webhook := required "github.webhookSecret.existingSecret is required: a Secret with the webhook's secret" $values.github.webhookSecret.existingSecret -}}
{{- include "everlog.secret.source" (dict "secret" $values.github.webhookSecret "file" "webhook-secret") -}}
{{- end -}}
{{- else if has .role (list "worker" "upkeep") -}}
{{- if not $values.github.hosts.workerSecret -}}
{{- if and $values.github.token.existingSecret $values.github.privateKey.existingSecret -}}
{{- fail "github.privateKey and github.token are both set: use an App or a token" -}}
{{- else if not $values.github.token.existingSecret -}}
{{- $id := required "github.appId is required: the number on the App's page (or github.token, or github.hosts)" $values.github.appId -}}
{{- $key := required "github.privateKey.existingSecret is required: a Secret with the App's private key" $values.github.privateKey.existingSecret -}}
{{- end -}}
{{- include "everlog.secret.source" (dict "secret" $values.github.privateKey "file" "private-key") -}}
{{- include "everlog.secret.source" (dict "secret" $values.github.token "file" "token") -}}
{{- end -}}
{{- else if eq .role "sealer" -}}
{{- if not $values.ledger.kmsKeyArn -}}
{{- $key := required "ledger.signingKey.existingSecret is required: a Secret with an Ed25519 key (or ledger.kmsKeyArn, or sealer.enabled=false)" $values.ledger.signingKey.existingSecret -}}
{{- include "everlog.secret.source" (dict "secret" $values.ledger.signingKey "file" "signing-key") -}}
{{- end -}}
{{- else if eq .role "web" -}}
{{- if eq $values.web.auth "github" -}}
{{- $key := required "web.secret.existingSecret is required: a Secret with the key of the sessions" $values.web.secret.existingSecret -}}
{{- include "everlog.secret.source" (dict "secret" $values.web.secret "file" "web-secret") -}}
{{- $client := required "web.clientSecret.existingSecret is required: a Secret with the App's client secret" $values.web.clientSecret.existingSecret -}}
{{- include "everlog.secret.source" (dict "secret" $values.web.clientSecret "file" "client-secret") -}}
{{- else -}}
{{- $proxy := required "web.proxySecret.existingSecret is required: a Secret with what the proxy proves itself by" $values.web.proxySecret.existingSecret -}}
{{- $from := required "web.proxyCidrs is required: from where the proxy connects" (first $values.web.proxyCidrs) -}}
{{- include "everlog.secret.source" (dict "secret" $values.web.proxySecret "file" "proxy-secret") -}}
{{- end -}}
{{- end -}}
{{- end -}}
