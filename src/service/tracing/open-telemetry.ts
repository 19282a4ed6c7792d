import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  ParentBasedSampler,
  SamplingDecision,
  type Sampler,
} from '@opentelemetry/sdk-trace-node';
import { BullMQOtel } from 'bullmq-otel';
import { EverlogError } from '../../errors.ts';
import { DELIVERY_SPAN } from '../../receiver/app.ts';
import type { InSpan } from '../../spans.ts';
import type { Tracing } from './tracing.ts';

const NAME = 'everlog';
/** Text that a span is told is cut off here: keys and error messages are shorter. */
const ATTRIBUTE_CHARS_MAX = 1_024;

/** A worker that looks for a job, and finds none, is no trace of its own. */
const roots: Sampler = {
  shouldSample: (_context, _traceId, _name, kind) => ({
    decision: kind === SpanKind.INTERNAL ? SamplingDecision.NOT_RECORD : SamplingDecision.RECORD_AND_SAMPLED,
  }),
  toString: () => 'whatever begins with a delivery or a job',
};

/** Starts sending traces to where `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `OTEL_EXPORTER_OTLP_ENDPOINT`, says. What does not arrive there is dropped, and holds nothing up. */
export function openTracing(version: string): Tracing {
  // What the environment says of the process (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) goes before.
  const resource = resourceFromAttributes({ 'service.name': NAME, 'service.version': version }).merge(
    detectResources({ detectors: [envDetector] }),
  );
  const provider = new NodeTracerProvider({
    resource,
    sampler: new ParentBasedSampler({ root: roots }),
    spanLimits: { attributeValueLengthLimit: ATTRIBUTE_CHARS_MAX },
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  provider.register();
  const tracer = trace.getTracer(NAME, version);
  const inSpan: InSpan = (name, attributes, work, tell) => {
    const kind = name === DELIVERY_SPAN ? SpanKind.SERVER : SpanKind.INTERNAL;
    return tracer.startActiveSpan(name, { kind, attributes }, async (span) => {
      try {
        const result = await work();
        if (tell !== undefined) span.setAttributes(tell(result));
        return result;
      } catch (error) {
        // The code alone: messages are for those who read the log.
        span.setAttribute('error.type', error instanceof EverlogError ? error.code : 'unexpected');
        span.setStatus({ code: SpanStatusCode.ERROR });
        throw error;
      } finally {
        span.end();
      }
    });
  };
  return {
    inSpan,
    telemetry: new BullMQOtel({ tracerName: NAME, version }),
    close: () => provider.shutdown(),
  };
}
