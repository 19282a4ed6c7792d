import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { loadConfig } from '../../src/config.ts';
import { CHART, HAS_HELM, helm, manifestsIn, render, type Manifest } from '../support/infra/helm.ts';
import { shapeProblems } from '../support/infra/kubernetes-shapes.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';

const VALUES = join(CHART, 'ci');
const MONITORING = join(CHART, '../../monitoring');
const FILES = readdirSync(VALUES).map((name) => join(VALUES, name));
const SMALLEST = ['-f', join(VALUES, 'smallest.yaml')];
const SECRETS = '/etc/everlog/secrets';
/** The service ends within 30 s of SIGTERM, which its pod gets 5 s late. */
const DRAIN_S = 35;

const named = z.looseObject({ name: z.string() });
const podSchema = z.looseObject({
  serviceAccountName: z.string(),
  automountServiceAccountToken: z.literal(false),
  enableServiceLinks: z.literal(false),
  terminationGracePeriodSeconds: z.int().min(DRAIN_S + 1),
  securityContext: z.looseObject({ runAsNonRoot: z.literal(true), runAsUser: z.literal(10001) }),
  containers: z.tuple([
    z.looseObject({
      args: z.array(z.string()),
      securityContext: z.strictObject({
        allowPrivilegeEscalation: z.literal(false),
        readOnlyRootFilesystem: z.literal(true),
        capabilities: z.strictObject({ drop: z.tuple([z.literal('ALL')]) }),
      }),
      readinessProbe: z.union([
        z.looseObject({
          httpGet: z.strictObject({ path: z.literal('/readyz'), port: z.literal('admin') }),
        }),
        // The web page has no admin address.
        z.looseObject({ tcpSocket: z.strictObject({ port: z.literal('http') }) }),
      ]),
      resources: z.looseObject({ limits: z.looseObject({ memory: z.string() }) }),
      env: z.array(named.extend({ value: z.string().optional() })),
      volumeMounts: z.array(named),
    }),
  ]),
  volumes: z.array(
    named.extend({
      emptyDir: z.strictObject({ sizeLimit: z.string() }).optional(),
      projected: z
        .looseObject({
          sources: z.array(
            z.strictObject({
              secret: z.strictObject({
                name: z.string(),
                items: z.array(z.strictObject({ key: z.string(), path: z.string() })),
              }),
            }),
          ),
        })
        .optional(),
    }),
  ),
});
const deploymentSchema = z.looseObject({
  metadata: z.looseObject({ labels: z.looseObject({ 'app.kubernetes.io/component': z.string() }) }),
  spec: z.looseObject({ template: z.looseObject({ spec: podSchema }) }),
});

function rolesOf(manifests: readonly Manifest[]): ReadonlyMap<string, z.infer<typeof podSchema>> {
  const deployments = manifests.filter(({ kind }) => kind === 'Deployment');
  return new Map(
    deployments.map((each) => {
      const { metadata, spec } = deploymentSchema.parse(each);
      return [metadata.labels['app.kubernetes.io/component'], spec.template.spec];
    }),
  );
}

const folder = mkdtempSync(join(tmpdir(), 'everlog-chart-'));
beforeAll(() => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const files = {
    'queue-url': 'redis://valkey:6379',
    'webhook-secret': 'it is a secret',
    'private-key': privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    token: 'a token',
    'signing-key': newKeyPem(),
    'web-secret': 'w'.repeat(64),
    'client-secret': 'c'.repeat(40),
    'proxy-secret': 'p'.repeat(40),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.runIf(HAS_HELM)('the Helm chart', () => {
  test.each(FILES.map((file) => ({ name: basename(file), file })))('is good with $name', async ({ file }) => {
    expect(await helm('lint', '--strict', CHART, '-f', file)).toMatchObject({ code: 0 });
    const manifests = await render('-f', file);
    expect(manifests.flatMap(shapeProblems)).toEqual([]);
    const roles = rolesOf(manifests);
    const accounts = [...roles.values()].map(({ serviceAccountName }) => serviceAccountName);
    expect(new Set(accounts).size).toBe(accounts.length);
    expect([...roles.keys()]).toEqual(expect.arrayContaining(['receiver', 'worker', 'upkeep']));
    const names = manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
  });

  test('a field that Kubernetes does not know is found, and a value of another type', () => {
    const manifest = (spec: object): Manifest => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's', labels: {} },
      spec,
    });
    expect(shapeProblems(manifest({ port: [] }))).toEqual([
      'Service s.spec.port is unknown to V1ServiceSpec',
    ]);
    expect(shapeProblems(manifest({ ports: [{ port: 'eighty' }] }))).toEqual([
      'Service s.spec.ports[0].port is no number: "eighty"',
    ]);
    expect(shapeProblems(manifest({ ports: [{ port: 80, targetPort: 'http' }] }))).toEqual([]);
  });

  test('every role is given what the program takes, and nothing that it does not know', async () => {
    for (const file of FILES.filter((each) => !each.endsWith('several-hosts.yaml'))) {
      for (const [role, pod] of rolesOf(await render('-f', file))) {
        const env = Object.fromEntries(
          pod.containers[0].env.map(({ name, value }) => [name, value?.replace(SECRETS, folder)]),
        );
        const needs = {
          queueServer: true,
          receive: role === 'receiver',
          github: role === 'worker' || role === 'upkeep',
          signingKey: role === 'sealer',
        };
        const config = loadConfig(needs, env);
        expect(config.unknownVariables, `${basename(file)} ${role}`).toEqual([]);
        const { listen, adminListen, web } = config;
        const all = '0.0.0.0';
        expect({ listen, adminListen, web: web.listen }).toMatchObject({
          ...(role === 'web'
            ? { web: { host: all, port: 3001 } }
            : { adminListen: { host: all, port: 9464 } }),
          ...(role === 'receiver' ? { listen: { host: all, port: 3000 } } : {}),
        });
      }
    }
  });

  test('each role runs its own command with its own secrets', async () => {
    const roles = rolesOf(await render('-f', join(VALUES, 'web-github.yaml')));
    const seen = [...roles].map(([role, { containers, volumes }]) => {
      const sources = volumes.find(({ name }) => name === 'secrets')?.projected?.sources ?? [];
      const files = sources.flatMap(({ secret }) => secret.items.map(({ path }) => path));
      return `${role}: ${containers[0].args.join(' ')} with ${files.join(' ')}`;
    });
    expect(seen.toSorted()).toEqual([
      'receiver: serve with queue-url webhook-secret',
      'sealer: work --only seal with queue-url signing-key',
      'upkeep: work --only upkeep with queue-url private-key',
      'web: web with queue-url web-secret client-secret',
      'worker: work --only archive with queue-url private-key',
    ]);
    const receiver = roles.get('receiver')?.containers[0].env.map(({ name }) => name) ?? [];
    expect(receiver.filter((name) => /ARCHIVE|AWS|SPOOL|LOCK/.test(name))).toEqual([]);
    const spool = roles.get('worker')?.volumes.find(({ name }) => name === 'spool');
    expect(spool?.emptyDir).toEqual({ sizeLimit: '5Gi' });
  });

  test('brings the alert rules and the dashboard as they stand in infra/monitoring, also when it is packaged', async () => {
    const packed = await helm('package', CHART, '-d', folder);
    const archive = z.string().parse(/to: (.*)/.exec(packed.stdout)?.[1]);
    const { stdout } = await helm('template', 'prod', archive, '-f', join(VALUES, 'monitored.yaml'));
    for (const manifests of [await render('-f', join(VALUES, 'monitored.yaml')), manifestsIn(stdout)]) {
      const rule = manifests.find(({ kind }) => kind === 'PrometheusRule');
      expect(rule?.['spec']).toEqual(parse(readFileSync(join(MONITORING, 'alerts.yaml'), 'utf8')));
      const dashboard = manifests.find(({ metadata }) => metadata.name.endsWith('-dashboard'));
      expect(dashboard?.['data']).toEqual({
        'everlog.json': readFileSync(join(MONITORING, 'dashboard.json'), 'utf8'),
      });
    }
  });

  test.each([
    ['no values at all', [], 'queue.url.existingSecret is required'],
    ['no archive', [...SMALLEST, '--set', 'archive.url='], 'archive.url is required'],
    ['a folder as archive', [...SMALLEST, '--set', 'archive.url=/data'], '/archive/url'],
    ['no App', [...SMALLEST, '--set', 'github.appId='], 'github.appId is required'],
    ['App and token', [...SMALLEST, '--set', 'github.token.existingSecret=t'], 'use an App or a token'],
    ['no signing key', [...SMALLEST, '--set', 'ledger.signingKey.existingSecret='], 'ledger.kmsKeyArn'],
    ['a misspelt value', [...SMALLEST, '--set', 'recevier.replicas=2'], "'recevier' not allowed"],
    ['a misspelt value within', [...SMALLEST, '--set', 'worker.replica=2'], "'replica' not allowed"],
    ['a secret as a value', [...SMALLEST, '--set', 'github.token.value=s'], "'value' not allowed"],
    ['a lock without days', [...SMALLEST, '--set', 'archive.lockMode=GOVERNANCE'], '/archive/retentionDays'],
    ['a grace within the drain', [...SMALLEST, '--set', 'terminationGracePeriodSeconds=30'], 'Seconds'],
    ['an unknown lock mode', [...SMALLEST, '--set', 'archive.lockMode=FOREVER'], '/archive/lockMode'],
    ['a duration without unit', [...SMALLEST, '--set-string', 'ledger.interval=60'], '/ledger/interval'],
    ['KEDA without Prometheus', [...SMALLEST, '--set', 'worker.keda.enabled=true'], 'keda.serverAddress'],
    ['a page without address', [...SMALLEST, '--set', 'web.enabled=true'], 'is required'],
  ])('refuses %s', async (_, args, words) => {
    const { code, stderr } = await helm('template', 'prod', CHART, ...args);
    expect(code).not.toBe(0);
    expect(stderr).toContain(words);
  });
});
