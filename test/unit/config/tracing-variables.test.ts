import { expect, test } from 'vitest';
import { loadConfig } from '../../../src/config.ts';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
const ON = { isWanted: true, problem: null };
const OFF = { isWanted: false, problem: null };

test.each([
  [{}, OFF],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }, OFF],
  [ENDPOINT, ON],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://collector/v1/traces' }, ON],
  [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'otlp' }, ON],
  [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'console, otlp' }, ON],
  [{ ...ENDPOINT, OTEL_SDK_DISABLED: 'false' }, ON],
  [{ ...ENDPOINT, OTEL_SDK_DISABLED: 'True' }, OFF],
  [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }, OFF],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'localhost:4318', OTEL_SDK_DISABLED: 'true' }, OFF],
])('%j', (env, expected) => {
  expect(loadConfig({}, env).tracing).toEqual(expected);
});

test.each([
  ['OTEL_EXPORTER_OTLP_ENDPOINT', { OTEL_EXPORTER_OTLP_ENDPOINT: 'localhost:4318' }],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://' }],
  ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', { ...ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'collector' }],
  ['OTEL_TRACES_EXPORTER', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'zipkin' }],
])('what is wrong with %s costs the traces and no command: %j', (variable, env) => {
  expect(loadConfig({}, env).tracing).toEqual({
    isWanted: false,
    problem: { variable, what: expect.any(String) },
  });
});
