{{- /*
What each role is told, and nothing more. All take (dict "root" $ "role" NAME) and give entries of `env`.
Secrets are files below /etc/everlog/secrets (see _secrets.tpl): an environment is easier to leak than a file.
*/ -}}

{{- define "everlog.env.value" -}}
{{- $value := .value -}}
{{- /* A whole number in a values file arrives as a float, and a large one would be written with an exponent. */ -}}
{{- if kindIs "float64" $value }}{{ if eq (floor $value) $value }}{{ $value = int64 $value }}{{ end }}{{ end -}}
{{- if and (not (kindIs "invalid" $value)) (ne (toString $value) "") }}
- name: {{ .name }}
  value: {{ toString $value | quote }}
{{- end }}
{{- end -}}

{{- define "everlog.env.secret" -}}
{{- if .secret.existingSecret }}
- name: {{ .name }}_FILE
  value: /etc/everlog/secrets/{{ .file }}
{{- end }}
{{- end -}}

{{- define "everlog.env.process" -}}
{{- $values := .root.Values -}}
{{- if ne .role "web" -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_ADMIN_LISTEN" "value" "0.0.0.0:9464") -}}
{{- end -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_LOG_LEVEL" "value" $values.logLevel) -}}
{{- include "everlog.env.secret" (dict "name" "EVERLOG_QUEUE_URL" "secret" $values.queue.url "file" "queue-url") -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_QUEUE_PREFIX" "value" $values.queue.prefix) -}}
{{- if $values.queue.allowUnsafe -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_ALLOW_UNSAFE_QUEUE" "value" "true") -}}
{{- end -}}
{{- include "everlog.env.value" (dict "name" "HTTPS_PROXY" "value" $values.proxy.https) -}}
{{- include "everlog.env.value" (dict "name" "HTTP_PROXY" "value" $values.proxy.http) -}}
{{- include "everlog.env.value" (dict "name" "NO_PROXY" "value" $values.proxy.exceptFor) -}}
{{- if $values.caConfigMap -}}
{{- include "everlog.env.value" (dict "name" "NODE_EXTRA_CA_CERTS" "value" "/etc/everlog/ca/ca.crt") -}}
{{- end -}}
{{- end -}}

{{- /* Which GitHub there is; with hosts, the file says so. */ -}}
{{- define "everlog.env.github" -}}
{{- $github := .root.Values.github -}}
{{- $hosts := ternary $github.hosts.receiverSecret $github.hosts.workerSecret (eq .role "receiver") -}}
{{- if $hosts -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_CONFIG" "value" "/etc/everlog/hosts/hosts.yaml") -}}
{{- else -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_GITHUB_API_URL" "value" $github.apiUrl) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_GITHUB_APP_ID" "value" $github.appId) -}}
{{- if eq .role "receiver" -}}
{{- include "everlog.env.secret" (dict "name" "EVERLOG_GITHUB_WEBHOOK_SECRET" "secret" $github.webhookSecret "file" "webhook-secret") -}}
{{- else -}}
{{- include "everlog.env.secret" (dict "name" "EVERLOG_GITHUB_PRIVATE_KEY" "secret" $github.privateKey "file" "private-key") -}}
{{- include "everlog.env.secret" (dict "name" "EVERLOG_GITHUB_TOKEN" "secret" $github.token "file" "token") -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_GITHUB_LOG_HOSTS" "value" (join "," $github.logHosts)) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_GITHUB_PRIVATE_CIDRS" "value" (join "," $github.privateCidrs)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "everlog.env.archive" -}}
{{- $archive := .root.Values.archive -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_ARCHIVE_URL" "value" (required "archive.url is required: s3://BUCKET/PREFIX" $archive.url)) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_INDEX_URL" "value" $archive.indexUrl) -}}
{{- if $archive.forcePathStyle -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_S3_FORCE_PATH_STYLE" "value" "true") -}}
{{- end -}}
{{- include "everlog.env.value" (dict "name" "AWS_REGION" "value" $archive.region) -}}
{{- include "everlog.env.value" (dict "name" "AWS_ENDPOINT_URL_S3" "value" $archive.endpoint) -}}
{{- with (index .root.Values .role).awsSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: { secretKeyRef: { name: {{ . }}, key: AWS_ACCESS_KEY_ID } }
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: { secretKeyRef: { name: {{ . }}, key: AWS_SECRET_ACCESS_KEY } }
{{- end }}
{{- end -}}

{{- /* Of a role that writes. */ -}}
{{- define "everlog.env.writing" -}}
{{- $archive := .root.Values.archive -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_LOCK_MODE" "value" $archive.lockMode) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_RETENTION_DAYS" "value" $archive.retentionDays) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_KMS_KEY_ID" "value" $archive.kmsKeyId) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_LOG_STORAGE_CLASS" "value" $archive.logStorageClass) -}}
{{- with (index .root.Values .role).spool -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_SPOOL_DIR" "value" "/spool") -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_SPOOL_MAX_BYTES" "value" .maxBytes) -}}
{{- end -}}
{{- end -}}

{{- /* Of a role that asks GitHub about jobs. */ -}}
{{- define "everlog.env.jobs" -}}
{{- $values := .root.Values -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_CONCURRENCY" "value" (index $values .role).concurrency) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_JOB_DETAILS" "value" $values.jobs.details) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_MISSING_LOG_RETRIES" "value" $values.jobs.missingLogRetries) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_JOB_LOG_MAX_BYTES" "value" $values.jobs.logMaxBytes) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_GITHUB_LOG_RETENTION" "value" $values.github.logRetention) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_RECONCILE_INTERVAL" "value" $values.reconcile.interval) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_RECONCILE_LOOKBACK" "value" $values.reconcile.lookback) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_RECONCILE_BUDGET_SHARE" "value" $values.reconcile.budgetShare) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_BACKFILL_BUDGET_SHARE" "value" $values.reconcile.backfillBudgetShare) -}}
{{- end -}}

{{- define "everlog.env.sealing" -}}
{{- $ledger := .root.Values.ledger -}}
{{- if $ledger.kmsKeyArn -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_SIGNING_KEY" "value" (printf "awskms:%s" $ledger.kmsKeyArn)) -}}
{{- else -}}
{{- include "everlog.env.secret" (dict "name" "EVERLOG_SIGNING_KEY" "secret" $ledger.signingKey "file" "signing-key") -}}
{{- end -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_SEAL_INTERVAL" "value" $ledger.interval) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_ANCHOR_URL" "value" $ledger.anchorUrl) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_TSA_URL" "value" $ledger.timeStampUrl) -}}
{{- end -}}

{{- define "everlog.env.web" -}}
{{- $web := .root.Values.web -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_WEB_LISTEN" "value" "0.0.0.0:3001") -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_WEB_URL" "value" (required "web.url is required: the address by which people reach the page" $web.url)) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_WEB_AUTH" "value" $web.auth) -}}
{{- if eq $web.auth "github" -}}
{{- include "everlog.env.secret" (dict "name" "EVERLOG_WEB_SECRET" "secret" $web.secret "file" "web-secret") -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_WEB_AUDITORS" "value" (join "," $web.auditors)) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_GITHUB_API_URL" "value" .root.Values.github.apiUrl) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_GITHUB_CLIENT_ID" "value" $web.clientId) -}}
{{- include "everlog.env.secret" (dict "name" "EVERLOG_GITHUB_CLIENT_SECRET" "secret" $web.clientSecret "file" "client-secret") -}}
{{- else -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_WEB_PROXY_CIDRS" "value" (join "," $web.proxyCidrs)) -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_WEB_PROXY_HEADER" "value" $web.proxyHeader) -}}
{{- include "everlog.env.secret" (dict "name" "EVERLOG_WEB_PROXY_SECRET" "secret" $web.proxySecret "file" "proxy-secret") -}}
{{- end -}}
{{- end -}}

{{- define "everlog.env" -}}
{{- include "everlog.env.process" . -}}
{{- if eq .role "receiver" -}}
{{- include "everlog.env.value" (dict "name" "EVERLOG_LISTEN" "value" "0.0.0.0:3000") -}}
{{- include "everlog.env.github" . -}}
{{- else if eq .role "web" -}}
{{- include "everlog.env.web" . -}}
{{- include "everlog.env.archive" . -}}
{{- /* It writes down who looked. */ -}}
{{- include "everlog.env.writing" . -}}
{{- else -}}
{{- include "everlog.env.archive" . -}}
{{- include "everlog.env.writing" . -}}
{{- if eq .role "sealer" -}}
{{- include "everlog.env.sealing" . -}}
{{- else -}}
{{- include "everlog.env.github" . -}}
{{- include "everlog.env.jobs" . -}}
{{- end -}}
{{- end -}}
{{- with (index .root.Values .role).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
