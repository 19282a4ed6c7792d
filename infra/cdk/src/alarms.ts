import { Duration } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  MathExpression,
  Metric,
  Stats,
  TreatMissingData,
  type IMetric,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { IApplicationTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Topic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import { METRICS, NAMESPACE } from './collector.ts';
import type { Settings } from './settings.ts';

/** A condition that somebody should look at. */
interface Condition {
  readonly name: string;
  /** That of the Prometheus rule and of the runbook's section. */
  readonly rule: string;
  readonly says: string;
  readonly metric: IMetric;
  readonly above: number;
  /** How many five minutes in a row. */
  readonly periods: number;
  readonly missing: TreatMissingData;
}

const PERIOD = Duration.minutes(5);
const HOUR_S = 3_600;
const DAY = Duration.days(1);
/** What no deployment can do without; sealing has an alarm of its own. */
const ROLES = ['receiver', 'archive', 'upkeep'] as const;
/** Outcomes of deliveries that were not taken and that were; an alarm takes ten metrics at most, so the rarest are left out. */
const REFUSED = [
  'malformed',
  'unsigned',
  'bad_signature',
  'wrong_target',
  'too_large',
  'timeout',
  'unavailable',
  'error',
];
const TAKEN = ['queued', 'ignored'];

/** Alarms on the conditions that Everlog itself states by its metrics. */
export function makeAlarms(scope: Construct, settings: Settings, receivers: IApplicationTargetGroup): void {
  const action =
    settings.alarmTopicArn === null
      ? null
      : new SnsAction(Topic.fromTopicArn(scope, 'OnCall', settings.alarmTopicArn));
  for (const condition of conditions(settings, receivers)) {
    const { name, rule, says, metric, above, periods, missing } = condition;
    const alarm = new Alarm(scope, `Everlog${name}`, {
      alarmName: `${settings.name}-Everlog${name}`,
      alarmDescription: `${says} See the runbook, Everlog${rule}.`,
      metric,
      threshold: above,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: periods,
      treatMissingData: missing,
    });
    if (action !== null) alarm.addAlarmAction(action);
  }
}

function conditions(settings: Settings, receivers: IApplicationTargetGroup): readonly Condition[] {
  return [
    ...presenceConditions(settings, receivers),
    ...deliveryConditions(settings),
    ...jobConditions(settings),
    ...ledgerConditions(settings),
  ];
}

/** Data that is missing says nothing, unless told otherwise: that nobody tells anything is what `Down` is for. */
function condition(
  name: string,
  says: string,
  metric: IMetric,
  above: number,
  options: Partial<Pick<Condition, 'rule' | 'periods' | 'missing'>> = {},
): Condition {
  return {
    name,
    rule: name,
    says,
    metric,
    above,
    periods: 1,
    missing: TreatMissingData.NOT_BREACHING,
    ...options,
  };
}

/** Conditions that hold where nobody says otherwise. */
const SILENCE_IS_FAILURE = { missing: TreatMissingData.BREACHING } as const;

function presenceConditions(settings: Settings, receivers: IApplicationTargetGroup): readonly Condition[] {
  const metric = metricsOf(settings);
  const telling = metric('everlog_queue_jobs', { queue: 'archive', state: 'waiting' });
  const missing = ROLES.map((role) => `FILL(${role}, 0) < 1`).join(' OR ');
  const silence = math(`IF(FILL(telling, -1) < 0 OR ${missing}, 1, 0)`, {
    telling,
    ...Object.fromEntries(ROLES.map((role) => [role, metric('everlog_role', { role })])),
  });
  const healthy = receivers.metrics.healthyHostCount({ period: PERIOD, statistic: Stats.MAXIMUM });
  const unhealthy = math('IF(FILL(healthy, 0) < 1, 1, 0)', { healthy });
  return [
    condition('Down', 'No process tells its metrics, or none does a part of the work.', silence, 0, {
      periods: 2,
      ...SILENCE_IS_FAILURE,
    }),
    condition('ReceiversUnhealthy', 'The balancer has nobody to lead deliveries to.', unhealthy, 0, {
      rule: 'Down',
      periods: 2,
      ...SILENCE_IS_FAILURE,
    }),
  ];
}

function deliveryConditions(settings: Settings): readonly Condition[] {
  const host = hostOf(settings.githubApiUrl);
  const taken = counted(settings, 'everlog_taken_deliveries_total', { host }).with({ period: DAY });
  const nothing = new MathExpression({
    expression: 'IF(FILL(taken, 0) < 1, 1, 0)',
    usingMetrics: { taken },
    period: DAY,
  });
  return [
    condition('DeliveriesRefused', 'Over 5 % of deliveries were refused.', refusedShare(settings), 5, {
      periods: 2,
    }),
    condition('NothingReceived', 'No delivery for a day.', nothing, 0, SILENCE_IS_FAILURE),
  ];
}

function jobConditions(settings: Settings): readonly Condition[] {
  const metric = metricsOf(settings);
  const lag = new Metric({
    ...dimensions(settings, 'everlog_archive_lag_seconds', { source: 'webhook' }),
    statistic: Stats.AVERAGE,
  });
  const oldest = metric('everlog_oldest_unaccounted_seconds');
  const expiring = metric('everlog_expiring_jobs', { within: '7d' });
  const failed = metric('everlog_queue_jobs', { queue: 'archive', state: 'failed' });
  const gaps = metric('everlog_reconcile_gap_jobs');
  return [
    condition('OldestUnaccounted', 'A job waits for over 8 hours.', oldest, 8 * HOUR_S),
    condition('LogsExpiring', 'GitHub deletes logs within a week that have no record.', expiring, 0),
    condition('ArchiveLag', 'Jobs take over 15 minutes to be archived.', lag, 900, { periods: 3 }),
    condition('JobsFailed', 'Jobs ran out of tries.', failed, 0, { periods: 3 }),
    condition('Gaps', 'Jobs have no record for three hours.', gaps, 0, { periods: 36 }),
    condition('RateBudgetLow', 'Under 10 % of a rate limit is left.', spentShare(settings), 90, {
      periods: 6,
    }),
  ];
}

function ledgerConditions(settings: Settings): readonly Condition[] {
  const compared = age(settings, 'everlog_last_reconcile_timestamp_seconds', true);
  const sealed = age(settings, 'everlog_last_digest_timestamp_seconds', false);
  const tampering = 'The archive is not as it was recorded. Do not repair: investigate.';
  return [
    // Never is told of as the epoch: a new deployment has a quarter of an hour for its first pass.
    condition('ReconcileStale', 'GitHub was not compared for three hours.', compared, 3 * HOUR_S, {
      periods: 3,
      ...SILENCE_IS_FAILURE,
    }),
    condition('DigestStale', 'Nothing was sealed for two hours.', sealed, 2 * HOUR_S, SILENCE_IS_FAILURE),
    condition('Tampering', tampering, findings(settings), 0),
  ];
}

type MakeMetric = (name: string, labels?: Readonly<Record<string, string>>) => Metric;

/** Gauges of the whole deployment are the same in every process, so that the largest is the one. */
function metricsOf(settings: Settings): MakeMetric {
  return (name, labels = {}) =>
    new Metric({ ...dimensions(settings, name, labels), statistic: Stats.MAXIMUM });
}

function dimensions(
  settings: Settings,
  metricName: string,
  labels: Readonly<Record<string, string>>,
): { namespace: string; metricName: string; dimensionsMap: Record<string, string>; period: Duration } {
  const declared = [...(METRICS[metricName] ?? [])].sort().join();
  if (declared !== Object.keys(labels).sort().join())
    throw new Error(`${metricName} is collected by ${declared}`);
  return {
    namespace: NAMESPACE,
    metricName,
    dimensionsMap: { deployment: settings.name, ...labels },
    period: PERIOD,
  };
}

function math(expression: string, usingMetrics: Record<string, IMetric>): MathExpression {
  return new MathExpression({ expression, usingMetrics, period: PERIOD });
}

/** Seconds since the moment that a metric names. */
function age(settings: Settings, name: string, byHost: boolean): IMetric {
  const labels: Readonly<Record<string, string>> = byHost ? { host: hostOf(settings.githubApiUrl) } : {};
  return math('EPOCH(m) - m', { m: metricsOf(settings)(name, labels) });
}

function counted(settings: Settings, name: string, labels: Readonly<Record<string, string>>): Metric {
  return new Metric({ ...dimensions(settings, name, labels), statistic: Stats.SUM });
}

function refusedShare(settings: Settings): IMetric {
  const of = (outcomes: readonly string[], mark: string): [string, Record<string, IMetric>] => [
    outcomes.map((_, index) => `FILL(${mark}${index}, 0)`).join(' + '),
    Object.fromEntries(
      outcomes.map((outcome, index) => [
        `${mark}${index}`,
        counted(settings, 'everlog_deliveries_total', { outcome }),
      ]),
    ),
  ];
  const [refused, those] = of(REFUSED, 'r');
  const [taken, these] = of(TAKEN, 't');
  return math(`100 * (${refused}) / (${refused} + ${taken})`, { ...those, ...these });
}

function findings(settings: Settings): IMetric {
  return math('FILL(s, 0) + FILL(v, 0)', {
    s: metricsOf(settings)('everlog_open_seal_findings'),
    v: metricsOf(settings)('everlog_last_verify_findings'),
  });
}

function spentShare(settings: Settings): IMetric {
  const labels = { host: hostOf(settings.githubApiUrl) };
  const least = new Metric({
    ...dimensions(settings, 'everlog_github_ratelimit_remaining', labels),
    statistic: Stats.MINIMUM,
  });
  return math('100 - 100 * remaining / most', {
    remaining: least,
    most: metricsOf(settings)('everlog_github_ratelimit_limit', labels),
  });
}

/** By which name Everlog knows a GitHub: `github.com`, `SUB.ghe.com`, else the API's own host. */
function hostOf(apiUrl: string): string {
  const { hostname } = new URL(apiUrl);
  return hostname === 'api.github.com' || hostname.endsWith('.ghe.com')
    ? hostname.replace(/^api\./, '')
    : hostname;
}
