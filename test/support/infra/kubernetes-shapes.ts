import * as client from '@kubernetes/client-node';
import { z } from 'zod';
import type { Manifest } from './helm.ts';

/** What is wrong with a manifest by the types of Kubernetes' own API: unknown fields, and values of another type. */
export function shapeProblems(manifest: Manifest): readonly string[] {
  const where = `${manifest.kind} ${manifest.metadata.name}`;
  const kind = `${manifest.apiVersion} ${manifest.kind}`;
  const custom = CUSTOM[kind];
  if (custom !== undefined) {
    const parsed = custom.safeParse(manifest);
    return parsed.success
      ? []
      : parsed.error.issues.map(({ path, message }) => `${where}.${path.join('.')}: ${message}`);
  }
  const model = MODELS[kind];
  return model === undefined ? [`${where}: ${kind} is not known here`] : problems(manifest, model, where);
}

const MODELS: Readonly<Record<string, string>> = {
  'apps/v1 Deployment': 'V1Deployment',
  'autoscaling/v2 HorizontalPodAutoscaler': 'V2HorizontalPodAutoscaler',
  'networking.k8s.io/v1 Ingress': 'V1Ingress',
  'networking.k8s.io/v1 NetworkPolicy': 'V1NetworkPolicy',
  'policy/v1 PodDisruptionBudget': 'V1PodDisruptionBudget',
  'v1 ConfigMap': 'V1ConfigMap',
  'v1 Service': 'V1Service',
  'v1 ServiceAccount': 'V1ServiceAccount',
};

const labels = z.record(z.string(), z.string());
const metadata = z.strictObject({ name: z.string(), labels });
const duration = z.string().regex(/^\d+[smhdw]$/);

/** The part of the operators' definitions that the chart uses. */
const CUSTOM: Readonly<Record<string, z.ZodType>> = {
  'keda.sh/v1alpha1 ScaledObject': z.strictObject({
    apiVersion: z.string(),
    kind: z.string(),
    metadata,
    spec: z.strictObject({
      scaleTargetRef: z.strictObject({ name: z.string() }),
      minReplicaCount: z.int(),
      maxReplicaCount: z.int(),
      cooldownPeriod: z.int(),
      triggers: z
        .array(
          z.strictObject({
            type: z.literal('prometheus'),
            metadata: z.strictObject({ serverAddress: z.url(), query: z.string(), threshold: z.string() }),
          }),
        )
        .min(1),
    }),
  }),
  'monitoring.coreos.com/v1 PrometheusRule': z.strictObject({
    apiVersion: z.string(),
    kind: z.string(),
    metadata,
    spec: z.strictObject({
      groups: z
        .array(
          z.strictObject({
            name: z.string(),
            rules: z.array(
              z.strictObject({
                alert: z.string(),
                expr: z.string(),
                for: duration.optional(),
                labels,
                annotations: z.record(z.string(), z.string()),
              }),
            ),
          }),
        )
        .min(1),
    }),
  }),
  'monitoring.coreos.com/v1 ServiceMonitor': z.strictObject({
    apiVersion: z.string(),
    kind: z.string(),
    metadata,
    spec: z.strictObject({
      selector: z.strictObject({ matchLabels: labels }),
      endpoints: z.array(z.strictObject({ port: z.string(), path: z.string(), interval: duration })).min(1),
    }),
  }),
};

const attributes = z.array(z.object({ baseName: z.string(), type: z.string() }));

function problems(value: unknown, type: string, where: string): readonly string[] {
  if (type === 'any') return [];
  const [, item] = /^Array<(.*)>$/.exec(type) ?? [];
  if (item !== undefined) {
    if (!Array.isArray(value)) return [`${where} is no list`];
    return value.flatMap((each, index) => problems(each, item, `${where}[${index}]`));
  }
  const [, entry] = /^{ \[key: string\]: (.*); }$/.exec(type) ?? [];
  if (entry !== undefined) {
    const parsed = z.record(z.string(), z.unknown()).safeParse(value);
    if (!parsed.success) return [`${where} is no map`];
    return Object.entries(parsed.data).flatMap(([key, each]) => problems(each, entry, `${where}.${key}`));
  }
  const fields = fieldsOf(type);
  if (fields === null) return isA(value, type) ? [] : [`${where} is no ${type}: ${JSON.stringify(value)}`];
  const parsed = z.record(z.string(), z.unknown()).safeParse(value);
  if (!parsed.success) return [`${where} is no ${type}`];
  return Object.entries(parsed.data).flatMap(([key, each]) => {
    const field = fields.get(key);
    return field === undefined
      ? [`${where}.${key} is unknown to ${type}`]
      : problems(each, field, `${where}.${key}`);
  });
}

function isA(value: unknown, type: string): boolean {
  switch (type) {
    case 'string':
      return typeof value === 'string';
    case 'number':
      return typeof value === 'number';
    case 'boolean':
      return typeof value === 'boolean';
    case 'IntOrString':
      return typeof value === 'string' || Number.isInteger(value);
    case 'Date':
      return typeof value === 'string' && !Number.isNaN(Date.parse(value));
    default:
      throw new Error(`no type of Kubernetes is called ${type}`);
  }
}

/** The fields of a type; null of one that has none. */
function fieldsOf(type: string): ReadonlyMap<string, string> | null {
  const model: unknown = Reflect.get(client, type);
  if (typeof model !== 'function') return null;
  const read: unknown = Reflect.get(model, 'getAttributeTypeMap');
  if (typeof read !== 'function') return null;
  return new Map(attributes.parse(Reflect.apply(read, model, [])).map((each) => [each.baseName, each.type]));
}
