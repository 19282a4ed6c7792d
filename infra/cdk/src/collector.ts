import type { Settings } from './settings.ts';

/** How Everlog's metrics come to CloudWatch: a collector beside each process reads them, as Prometheus would. */

export const NAMESPACE = 'Everlog';
export const COLLECTOR_IMAGE = 'public.ecr.aws/aws-observability/aws-otel-collector:v0.43.0';
const SCRAPE_INTERVAL = '60s';

/** The metrics that alarms and scaling need, with the labels that become dimensions; each further one is paid by the month. */
export const METRICS: Readonly<Record<string, readonly string[]>> = {
  everlog_role: ['role'],
  everlog_queue_jobs: ['queue', 'state'],
  everlog_oldest_unaccounted_seconds: [],
  everlog_expiring_jobs: ['within'],
  everlog_deliveries_total: ['outcome'],
  everlog_taken_deliveries_total: ['host'],
  everlog_archive_lag_seconds: ['source'],
  everlog_reconcile_gap_jobs: [],
  everlog_last_reconcile_timestamp_seconds: ['host'],
  everlog_last_digest_timestamp_seconds: [],
  everlog_open_seal_findings: [],
  everlog_last_verify_findings: [],
  everlog_github_ratelimit_remaining: ['host'],
  everlog_github_ratelimit_limit: ['host'],
};

/** The collector's configuration; JSON is YAML. Every metric carries the deployment's name, as several share an account. */
export function collectorConfig({ name, region }: Settings, adminPort: number, logGroup: string): string {
  const names = Object.keys(METRICS).join('|');
  return JSON.stringify({
    receivers: {
      prometheus: {
        config: {
          scrape_configs: [
            {
              job_name: 'everlog',
              scrape_interval: SCRAPE_INTERVAL,
              static_configs: [{ targets: [`127.0.0.1:${adminPort}`] }],
              metric_relabel_configs: [
                { source_labels: ['__name__'], regex: `(${names})(_sum|_count|_bucket)?`, action: 'keep' },
                { target_label: 'deployment', replacement: name },
              ],
            },
          ],
        },
      },
    },
    processors: { batch: {} },
    exporters: {
      awsemf: {
        region,
        namespace: NAMESPACE,
        log_group_name: logGroup,
        log_stream_name: '{TaskId}',
        dimension_rollup_option: 'NoDimensionRollup',
        metric_declarations: Object.entries(METRICS).map(([metric, labels]) => ({
          dimensions: [['deployment', ...labels]],
          metric_name_selectors: [`^${metric}$`],
        })),
      },
    },
    service: {
      pipelines: { metrics: { receivers: ['prometheus'], processors: ['batch'], exporters: ['awsemf'] } },
    },
  });
}
