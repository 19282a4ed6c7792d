import { createHmac, randomUUID } from 'node:crypto';
import { installationPayload, workflowJobPayload, workflowRunPayload } from './delivery-payloads.ts';
import type { Links } from './api/rest-objects.ts';
import type { World } from './world.ts';

export interface SendOptions {
  guid?: string;
  /** Sign with another secret than the configured one. */
  secret?: string;
  url?: string;
  /** Sign other bytes than those sent. */
  tamper?: boolean;
  /** Headers added or replaced; null leaves one out. */
  headers?: Readonly<Record<string, string | null>>;
  /** GitHub never sends it and lists it nowhere. */
  drop?: boolean;
}

/** What the receiver answered; status 0: no answer. */
export interface SendResult {
  status: number;
  body: string;
  guid: string;
}

/** One attempt at a delivery, as `GET /app/hook/deliveries` lists it. */
export interface Delivery {
  id: number;
  guid: string;
  deliveredAtMs: number;
  redelivery: boolean;
  durationS: number;
  status: string;
  statusCode: number;
  event: string;
  action: string | null;
  installationId: number | null;
  repositoryId: number | null;
  url: string;
  body: Buffer;
}

type Described = Pick<Delivery, 'event' | 'action' | 'installationId' | 'repositoryId'>;

export interface DeliveriesOptions {
  world: World;
  links: Links;
  appId: number;
  secret: string;
  url: string | null;
  now: () => number;
  random: () => number;
}

/** GitHub ends a delivery's connection after this long. */
const DELIVERY_TIMEOUT_MS = 10_000;
/** At about 10 kB each, what is kept for the list stays under 100 MB. */
const DELIVERIES_KEPT = 10_000;
const HOOK_ID = 478_251_101;

/** The App's webhook: sends signed deliveries and remembers them. */
export class Deliveries {
  /** Where deliveries go when none is named with the sending. */
  url: string | null;
  /** Share of deliveries, in [0, 1], that are never sent. */
  dropRate = 0;
  readonly #options: DeliveriesOptions;
  #log: Delivery[] = [];
  #nextId = 12_345_678;
  readonly #pending = new Set<Promise<unknown>>();

  #hookSecret: string | null = null;

  constructor(options: DeliveriesOptions) {
    this.#options = options;
    this.url = options.url;
  }

  get log(): readonly Delivery[] {
    return this.#log;
  }

  /** Sends a delivery: an object as JSON, text and bytes as they are. Throws only if no address is known. */
  async send(event: string, payload: unknown, options: SendOptions = {}): Promise<SendResult> {
    const raw = typeof payload === 'string' || payload instanceof Uint8Array;
    const body = Buffer.from(raw ? payload : JSON.stringify(payload));
    return this.#sendBody({ event, ...describePayload(payload) }, body, options);
  }

  /** Ends the job if it still runs and sends `workflow_job` completed. */
  async completeJob(jobId: number, options: SendOptions & { conclusion?: string } = {}): Promise<SendResult> {
    this.#options.world.completeJob(jobId, options.conclusion);
    return this.job(jobId, 'completed', options);
  }

  /** Sends `workflow_job` for a job as it is now. */
  async job(jobId: number, action: string, options: SendOptions = {}): Promise<SendResult> {
    return this.send('workflow_job', workflowJobPayload(this.#options, jobId, action), options);
  }

  /** Sends `workflow_run`; `completed` ends the run first. */
  async run(
    runId: number,
    action: 'requested' | 'completed',
    options: SendOptions = {},
  ): Promise<SendResult> {
    if (action === 'completed') this.#options.world.completeRun(runId);
    return this.send('workflow_run', workflowRunPayload(this.#options, runId, action), options);
  }

  /** Puts the installation into the state that the action says, and tells of it. */
  async installation(
    id: number,
    action: 'created' | 'deleted' | 'suspend' | 'unsuspend',
    options: SendOptions = {},
  ): Promise<SendResult> {
    const state = (
      { created: 'active', unsuspend: 'active', suspend: 'suspended', deleted: 'deleted' } as const
    )[action];
    this.#options.world.setInstallation(id, state);
    return this.send('installation', installationPayload(this.#options, id, action), options);
  }

  /** Sends the same bytes again under the same GUID. */
  async redeliver(deliveryId: number): Promise<SendResult> {
    const first = this.find(deliveryId);
    if (first === null) throw new Error(`There is no delivery ${deliveryId}`);
    return this.#sendBody(first, first.body, { guid: first.guid, url: first.url }, true);
  }

  /** Like `redeliver`, without waiting; `close` of the simulator waits for it. */
  redeliverLater(deliveryId: number): void {
    const sending = this.redeliver(deliveryId).finally(() => this.#pending.delete(sending));
    this.#pending.add(sending);
  }

  async settle(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }

  find(deliveryId: number): Delivery | null {
    return this.#log.find((each) => each.id === deliveryId) ?? null;
  }

  /** Newest first; `status` as the endpoint filters: success is 200–399, failure 400–599. */
  list(filter: { status: string | null; belowId: number | null }): Delivery[] {
    const wanted = this.#log.filter(({ id, statusCode }) => {
      if (filter.belowId !== null && id >= filter.belowId) return false;
      if (filter.status === 'success') return statusCode >= 200 && statusCode < 400;
      return filter.status !== 'failure' || (statusCode >= 400 && statusCode < 600);
    });
    return wanted.sort((a, b) => b.id - a.id);
  }

  summary(delivery: Delivery): Record<string, unknown> {
    return {
      id: delivery.id,
      guid: delivery.guid,
      delivered_at: new Date(delivery.deliveredAtMs).toISOString(),
      redelivery: delivery.redelivery,
      duration: delivery.durationS,
      status: delivery.status,
      status_code: delivery.statusCode,
      event: delivery.event,
      action: delivery.action,
      installation_id: delivery.installationId,
      repository_id: delivery.repositoryId,
      throttled_at: null,
    };
  }

  details(delivery: Delivery): Record<string, unknown> {
    const headers = { 'Content-Type': 'application/json', 'X-GitHub-Delivery': delivery.guid };
    const request = { headers, payload: parsedBody(delivery.body) };
    return {
      ...this.summary(delivery),
      url: delivery.url,
      request,
      response: { headers: {}, payload: null },
    };
  }

  /** Takes over what the App's hook configuration says; deliveries go there, signed so, from now on. */
  configureHook({
    url,
    secret,
  }: {
    readonly url?: string | undefined;
    readonly secret?: string | undefined;
  }): void {
    if (url !== undefined) this.url = url;
    if (secret !== undefined) this.#hookSecret = secret;
  }

  #headers(event: string, guid: string, body: Buffer, options: SendOptions): Record<string, string> {
    const signed = options.tamper === true ? Buffer.concat([body, Buffer.from(' ')]) : body;
    const secret = options.secret ?? this.#hookSecret ?? this.#options.secret;
    const all: Record<string, string | null> = {
      accept: '*/*',
      'content-type': 'application/json',
      'user-agent': 'GitHub-Hookshot/8c5f2a1',
      'x-github-delivery': guid,
      'x-github-event': event,
      'x-github-hook-id': String(HOOK_ID),
      'x-github-hook-installation-target-id': String(this.#options.appId),
      'x-github-hook-installation-target-type': 'integration',
      'x-hub-signature': `sha1=${createHmac('sha1', secret).update(signed).digest('hex')}`,
      'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(signed).digest('hex')}`,
    };
    for (const [name, value] of Object.entries(options.headers ?? {})) all[name.toLowerCase()] = value;
    const kept: Record<string, string> = {};
    for (const [name, value] of Object.entries(all)) if (value !== null) kept[name] = value;
    return kept;
  }

  async #sendBody(
    about: Described,
    body: Buffer,
    options: SendOptions,
    redelivery = false,
  ): Promise<SendResult> {
    const guid = options.guid ?? randomUUID();
    if (options.drop === true || (this.dropRate > 0 && this.#options.random() < this.dropRate)) {
      return { status: 0, body: '', guid };
    }
    const url = options.url ?? this.url;
    if (url === null) throw new Error('The simulator does not know where to send deliveries: set webhookUrl');
    const { event, action, installationId, repositoryId } = about;
    const id = this.#nextId++;
    const startedMs = this.#options.now();
    const sent = await post(url, this.#headers(event, guid, body, options), body);
    const delivery: Delivery = {
      id,
      guid,
      deliveredAtMs: startedMs,
      redelivery,
      durationS: (this.#options.now() - startedMs) / 1000,
      status: sent.outcome,
      statusCode: sent.status,
      event,
      action,
      installationId,
      repositoryId,
      url,
      body,
    };
    this.#log.push(delivery);
    if (this.#log.length > DELIVERIES_KEPT) this.#log = this.#log.slice(DELIVERIES_KEPT / 10);
    return { status: sent.status, body: sent.body, guid };
  }
}

function parsedBody(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return body.toString('utf8');
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function describePayload(payload: unknown): Omit<Described, 'event'> {
  const [action, installation, repository] = ['action', 'installation', 'repository'].map((name) =>
    member(payload, name),
  );
  const [installationId, repositoryId] = [member(installation, 'id'), member(repository, 'id')];
  return {
    action: typeof action === 'string' ? action : null,
    installationId: typeof installationId === 'number' ? installationId : null,
    repositoryId: typeof repositoryId === 'number' ? repositoryId : null,
  };
}

async function post(
  url: string,
  headers: Record<string, string>,
  body: Buffer,
): Promise<{ status: number; body: string; outcome: string }> {
  try {
    const signal = AbortSignal.timeout(DELIVERY_TIMEOUT_MS);
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
      redirect: 'manual',
      signal,
    });
    const answered = await response.text();
    const outcome = response.ok ? 'OK' : `Invalid HTTP Response: ${response.status}`;
    return { status: response.status, body: answered, outcome };
  } catch (error) {
    const timedOut = error instanceof Error && error.name === 'TimeoutError';
    return { status: 0, body: '', outcome: timedOut ? 'timed out' : 'failed to connect to host' };
  }
}
