import type { QueueTelemetry } from '../../queue/queue-storage.ts';
import type { InSpan } from '../../spans.ts';

/** OpenTelemetry traces of one process. */
export interface Tracing {
  readonly inSpan: InSpan;
  /** Carries a trace through the queue, from who adds a job to who works on it; undefined where nobody traces. */
  readonly telemetry: QueueTelemetry | undefined;
  /** Sends what is left. */
  close(): Promise<void>;
}
