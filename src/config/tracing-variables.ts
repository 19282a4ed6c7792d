import type { Variables } from './variables.ts';

/**
 * What OpenTelemetry's own variables say of traces. They may be there for other programs: what is wrong with them is
 * told where traces would begin, and ends no command.
 */
export interface TracingSettings {
  readonly isWanted: boolean;
  /** Why no traces are sent although they seem to be wanted. */
  readonly problem: { readonly variable: string; readonly what: string } | null;
}

const OFF: TracingSettings = { isWanted: false, problem: null };
const TRACES_ENDPOINT = 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT';
const ENDPOINT = 'OTEL_EXPORTER_OTLP_ENDPOINT';

/** Traces are wanted where an endpoint is named, and neither OTEL_SDK_DISABLED nor OTEL_TRACES_EXPORTER says otherwise. */
export function readTracing(variables: Variables): TracingSettings {
  const variable = [TRACES_ENDPOINT, ENDPOINT].find((name) => variables.text(name) !== null);
  if (variable === undefined || isTrue(variables.text('OTEL_SDK_DISABLED'))) return OFF;
  const names = (variables.text('OTEL_TRACES_EXPORTER') ?? 'otlp').split(',');
  const exporters = new Set(names.map((name) => name.trim()));
  if (exporters.has('none')) return OFF;
  if (!exporters.has('otlp'))
    return refuseVariable(
      'OTEL_TRACES_EXPORTER',
      'is neither otlp nor none, which are all that Everlog knows',
    );
  if (isHttpAddress(variables.text(variable) ?? '')) return { isWanted: true, problem: null };
  return refuseVariable(variable, 'is not an http or https address such as http://127.0.0.1:4318');
}

function refuseVariable(variable: string, what: string): TracingSettings {
  return { isWanted: false, problem: { variable, what } };
}

function isTrue(text: string | null): boolean {
  return text?.trim().toLowerCase() === 'true';
}

function isHttpAddress(text: string): boolean {
  return /^https?:\/\//i.test(text.trim()) && URL.canParse(text.trim());
}
