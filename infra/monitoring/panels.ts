/** What the dashboard shows, and in which words. */

interface Query {
  readonly expr: string;
  /** What a line is called; labels in double braces. */
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  /** What it says, for whoever sees it first. */
  readonly says: string;
  readonly unit: string;
  readonly queries: readonly Query[];
}

export interface Stat extends Panel {
  /** From here on the number is bad; below it where `isLowBad`. */
  readonly bad: number;
  readonly isLowBad?: boolean;
}

export const STATS: readonly Stat[] = [
  {
    title: 'Oldest without a record',
    says: 'Since when the oldest job of the archive queue waits, is put off or has failed',
    unit: 's',
    bad: 8 * 3_600,
    queries: [{ expr: 'max(everlog_oldest_unaccounted_seconds{job=~"$job"})', legend: '' }],
  },
  {
    title: 'Gaps',
    says: 'Jobs without a record when their repository was last compared with GitHub',
    unit: 'short',
    bad: 1,
    queries: [{ expr: 'max(everlog_reconcile_gap_jobs{job=~"$job"})', legend: '' }],
  },
  {
    title: 'Failed jobs',
    says: 'Jobs that have used up their tries',
    unit: 'short',
    bad: 1,
    queries: [{ expr: 'sum(max by (queue) (everlog_queue_jobs{job=~"$job",state="failed"}))', legend: '' }],
  },
  {
    title: 'Logs expiring in 7 days',
    says: 'Jobs without a record whose log GitHub deletes within seven days',
    unit: 'short',
    bad: 1,
    queries: [{ expr: 'max(everlog_expiring_jobs{job=~"$job",within="7d"})', legend: '' }],
  },
  {
    title: 'Last digest',
    says: 'How long ago the ledger had its last digest',
    unit: 's',
    bad: 2 * 3_600,
    queries: [{ expr: 'time() - max(everlog_last_digest_timestamp_seconds{job=~"$job"})', legend: '' }],
  },
  {
    title: 'Findings',
    says: 'What the last recorded verification found, and seals since',
    unit: 'short',
    bad: 1,
    queries: [
      { expr: 'max(everlog_last_verify_findings{job=~"$job"})', legend: 'verify' },
      { expr: 'max(everlog_open_seal_findings{job=~"$job"})', legend: 'seals' },
    ],
  },
];

export const ROWS: readonly { readonly title: string; readonly panels: readonly Panel[] }[] = [
  {
    title: 'Deliveries',
    panels: [
      {
        title: 'Deliveries by outcome',
        says: 'Each delivery is answered once',
        unit: 'reqps',
        queries: [
          {
            expr: 'sum by (outcome) (rate(everlog_deliveries_total{job=~"$job"}[$__rate_interval]))',
            legend: '{{outcome}}',
          },
        ],
      },
      {
        title: 'Time to answer a delivery',
        says: 'From its headers to the answer; GitHub waits ten seconds',
        unit: 's',
        queries: [0.5, 0.99].map((quantile) => ({
          expr: `histogram_quantile(${quantile}, sum by (le) (rate(everlog_webhook_duration_seconds_bucket{job=~"$job"}[$__rate_interval])))`,
          legend: `p${quantile * 100}`,
        })),
      },
      {
        title: 'Failed deliveries that are not asked for again',
        says: 'Their jobs are found by reconcile',
        unit: 'short',
        queries: [
          {
            expr: 'max by (host, state) (everlog_github_failed_deliveries{job=~"$job"})',
            legend: '{{host}} {{state}}',
          },
        ],
      },
    ],
  },
  {
    title: 'From a job’s end to its record',
    panels: [
      {
        title: 'Records by outcome',
        says: 'Records written: with a log, or why there is none',
        unit: 'ops',
        queries: [
          {
            expr: 'sum by (outcome) (rate(everlog_records_total{job=~"$job"}[$__rate_interval]))',
            legend: '{{outcome}}',
          },
        ],
      },
      {
        title: 'Archive lag',
        says: 'From the end of a job that a delivery told of to its record',
        unit: 's',
        queries: [0.5, 0.95].map((quantile) => ({
          expr: `histogram_quantile(${quantile}, sum by (le) (rate(everlog_archive_lag_seconds_bucket{job=~"$job",source="webhook"}[$__rate_interval])))`,
          legend: `p${quantile * 100}`,
        })),
      },
      {
        title: 'Bytes archived',
        says: 'Of logs as GitHub serves them, and as they stand in the store',
        unit: 'Bps',
        queries: [
          { expr: 'sum(rate(everlog_log_bytes_total{job=~"$job"}[$__rate_interval]))', legend: 'served' },
          { expr: 'sum(rate(everlog_stored_bytes_total{job=~"$job"}[$__rate_interval]))', legend: 'stored' },
        ],
      },
    ],
  },
  {
    title: 'Queue',
    panels: [
      {
        title: 'Archive queue',
        says: 'Jobs by state',
        unit: 'short',
        queries: [
          {
            expr: 'max by (state) (everlog_queue_jobs{job=~"$job",queue="archive"})',
            legend: '{{state}}',
          },
        ],
      },
      {
        title: 'Put off, by why',
        says: 'What delayed jobs wait for',
        unit: 'short',
        queries: [{ expr: 'max by (reason) (everlog_put_off_jobs{job=~"$job"})', legend: '{{reason}}' }],
      },
      {
        title: 'Retries by cause',
        says: 'Runs that failed and are tried again, by the code of the error',
        unit: 'ops',
        queries: [
          {
            expr: 'sum by (cause) (rate(everlog_job_retries_total{job=~"$job"}[$__rate_interval]))',
            legend: '{{cause}}',
          },
        ],
      },
    ],
  },
  {
    title: 'GitHub',
    panels: [
      {
        title: 'Rate limit left',
        says: 'Of the installation that has the least',
        unit: 'percentunit',
        queries: [
          {
            expr: 'min by (host) (everlog_github_ratelimit_remaining{job=~"$job"} / everlog_github_ratelimit_limit{job=~"$job"})',
            legend: '{{host}}',
          },
        ],
      },
      {
        title: 'Since GitHub was last compared',
        says: 'The last pass over the repositories, and until when everything was compared',
        unit: 's',
        queries: [
          {
            expr: 'time() - (max by (host) (everlog_last_reconcile_timestamp_seconds{job=~"$job"}) > 0)',
            legend: '{{host}} last pass',
          },
          {
            expr: 'time() - (max by (host) (everlog_reconciled_through_timestamp_seconds{job=~"$job"}) > 0)',
            legend: '{{host}} everything',
          },
        ],
      },
      {
        title: 'Suspended installations',
        says: 'Their jobs wait for the end of the suspension',
        unit: 'short',
        queries: [
          { expr: 'max by (host) (everlog_suspended_installations{job=~"$job"})', legend: '{{host}}' },
        ],
      },
    ],
  },
  {
    title: 'Ledger and processes',
    panels: [
      {
        title: 'Waiting for their digest',
        says: 'Committed objects that no digest covers yet',
        unit: 'short',
        queries: [{ expr: 'max(everlog_pending_commits{job=~"$job"})', legend: 'objects' }],
      },
      {
        title: 'Spool',
        says: 'Space for logs on their way, by process',
        unit: 'bytes',
        queries: [
          {
            expr: 'everlog_spool_reserved_bytes{job=~"$job"}',
            legend: '{{instance}} reserved',
          },
          { expr: 'max(everlog_spool_limit_bytes{job=~"$job"})', legend: 'limit' },
        ],
      },
      {
        title: 'Processes by version',
        says: 'Processes that are scraped',
        unit: 'short',
        queries: [{ expr: 'count by (version) (everlog_build_info{job=~"$job"})', legend: '{{version}}' }],
      },
    ],
  },
];
