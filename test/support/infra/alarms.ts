import type { Resource, Template } from './cdk.ts';

/** Rules of Prometheus that CloudWatch has no counterpart of, and why. */
export const WITHOUT_ALARM: Readonly<Record<string, string>> = {
  EverlogQueueMayForget:
    'the cache of this app has `noeviction` set, and never tells whether it keeps what it took',
  EverlogWatchdog: 'CloudWatch looks at alarms by itself, and Down fires where no data come',
};

/** Alarms on what only the load balancer can tell. */
export const WITHOUT_RULE = ['EverlogReceiversUnhealthy'];

/** Alarms that missing data set off. */
export const SILENT_IS_BAD = [
  'Down',
  'ReceiversUnhealthy',
  'NothingReceived',
  'ReconcileStale',
  'DigestStale',
];

/** The alarms that have a name of Everlog's own, by the name that they share with the rules; those of scaling have none. */
export function alarmsOf(template: Template): ReadonlyMap<string, Resource['Properties']> {
  return new Map(
    template
      .all('AWS::CloudWatch::Alarm')
      .flatMap(([, alarm]) =>
        typeof alarm['AlarmName'] === 'string'
          ? [[alarm['AlarmName'].replace(/^everlog-/, ''), alarm] as const]
          : [],
      ),
  );
}
