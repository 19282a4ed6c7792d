import { untraced } from '../../spans.ts';
import type { Tracing } from './tracing.ts';

const NOTHING: Tracing = { inSpan: untraced, telemetry: undefined, close: () => Promise.resolve() };

/** Starts tracing where the configuration asks for it; nothing of OpenTelemetry (28 MB) is loaded otherwise. */
export async function startTracing(wanted: boolean, version: string): Promise<Tracing> {
  if (!wanted) return NOTHING;
  const { openTracing } = await import('./open-telemetry.ts');
  return openTracing(version);
}
