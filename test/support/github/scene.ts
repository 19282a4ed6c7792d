import { setTimeout as delay } from 'node:timers/promises';
import { workflowJobPayload } from '../../../src/simulator/delivery-payloads.ts';
import type { Repository } from '../../../src/simulator/facts.ts';
import type { FaultEffect } from '../../../src/simulator/faults.ts';
import type { AddJob } from '../../../src/simulator/world.ts';
import type { Product } from '../../../src/github/host.ts';
import type { RecordUnderTest } from '../oracles/archive-oracle.ts';
import type { HostUnderTest, ServiceUnderTest } from './fetch-path.ts';

/** One situation on one host: an installation and a repository of its own, so that no other situation disturbs it. */

/** Requests by what they ask for. `blob` is the log itself; the rest are API calls. */
export type Spent = Partial<
  Record<
    'token' | 'job' | 'logs' | 'blob' | 'run' | 'runs' | 'run_jobs' | 'repo' | 'repo_installation',
    number
  >
>;

/** A situation, and how it must end. */
export interface Situation {
  readonly name: string;
  /** What the API answers, what the log host answers, and what the job is, for whoever reads the table. */
  readonly api: string;
  readonly log: string;
  readonly job: string;
  /** Kinds of host where it can arise; default: all. */
  readonly only?: readonly Product[];
  /** The world as the delivery describes it. Gives the job's id. */
  readonly arrange: (scene: Scene) => number;
  /** What happens after the delivery was made and before it is acted on. */
  readonly meanwhile?: (scene: Scene, jobId: number) => Promise<void> | void;
  /** What happens once this much is known, before the job is announced again. */
  readonly later?: (scene: Scene, jobId: number) => void;
  /** An outcome of CONTRACT §5, or where the job stands in the queue. */
  readonly ends: string;
  /** How often the job was begun; a pair where chance decides. */
  readonly tries: number | readonly [number, number];
  readonly spends: Spent;
  /** What the record says beside its outcome. */
  readonly says?: Readonly<Record<string, unknown>>;
  /** What the queue gives as reason where there is no record. */
  readonly reason?: RegExp;
  readonly check?: (scene: Scene, jobId: number, record: RecordUnderTest) => void;
}

/** A log link of the test's own, and what it answers. */
export interface OwnLinks {
  readonly origin: string;
  readonly answers: Map<string, Buffer>;
  readonly targets: readonly string[];
}

export class Scene {
  readonly host: HostUnderTest;
  readonly service: ServiceUnderTest & { readonly webhooksUrl: string };
  readonly links: OwnLinks;
  readonly owner: string;
  readonly installationId: number;
  readonly repository: Repository;
  #mark = 0;

  constructor(
    host: HostUnderTest,
    service: ServiceUnderTest & { readonly webhooksUrl: string },
    links: OwnLinks,
    owner: string,
  ) {
    const { world } = host.simulator;
    this.host = host;
    this.service = service;
    this.links = links;
    this.owner = owner;
    this.installationId = world.addInstallation({ login: owner }).id;
    this.repository = world.addRepository({ name: 'Repo', installationId: this.installationId });
  }

  /** A job that has ended, in a run of its own. */
  job(about: Omit<AddJob, 'runId'> = {}): number {
    return this.host.simulator.world.addJob({ runId: this.run(), ...about }).facts.id;
  }

  run(): number {
    const { world } = this.host.simulator;
    return world.run(world.addRun({ repositoryId: this.repository.id })).id;
  }

  fault(route: string, jobId: number, effect: FaultEffect, times?: number): void {
    this.host.simulator.faults.add({
      match: { route, jobId },
      effect,
      ...(times === undefined ? {} : { times }),
    });
  }

  /** Has the API give this link for the job, once, and the link answer so. */
  link(jobId: number, number: number, answer: Buffer): void {
    const path = `/${this.host.name}/${jobId}/${number}`;
    this.links.answers.set(path, answer);
    this.fault(
      'logs',
      jobId,
      { kind: 'redirect', location: `${this.links.origin}${path}?sig=link-${number}` },
      1,
    );
  }

  /** Paths of the test's own links that were followed for a job. */
  followed(jobId: number): string[] {
    const prefix = `/${this.host.name}/${jobId}/`;
    return this.links.targets.filter((target) => target.startsWith(prefix));
  }

  bytesOf(jobId: number): Buffer {
    return Buffer.concat([...(this.host.simulator.world.job(jobId).log?.chunks() ?? [])]);
  }

  payload(jobId: number): Record<string, unknown> {
    const { world, apiUrl, appId } = this.host.simulator;
    const links = { apiUrl, webUrl: new URL(apiUrl).origin };
    return workflowJobPayload({ world, links, appId }, jobId, 'completed');
  }

  /** Sends a `completed` delivery and gives the receiver's answer. */
  async send(payload: Record<string, unknown>): Promise<string> {
    const { simulator, name } = this.host;
    this.#mark = simulator.requests.entries.length;
    const url = `${this.service.webhooksUrl}/${name}`;
    const { status, body } = await simulator.deliveries.send('workflow_job', payload, { url });
    return `${status} ${body}`;
  }

  /** Archives another job of the installation, so that its token and its rate limit are known. */
  async archiveAnother(): Promise<void> {
    const id = this.job({ log: 'the one before\n' });
    await this.send(this.payload(id));
    await this.service.settled(this.host.name, id);
    // Answers of the API are noted by the one who asked; the worker that asked has ended its job by now.
    await delay(0);
  }

  /** What was asked of GitHub since the last delivery on behalf of this installation. */
  spent(jobId: number): Spent {
    const spent: Record<string, number> = {};
    const mine = [
      `/repos/${this.owner}/`,
      `/repositories/${this.repository.id}`,
      `/app/installations/${this.installationId}/`,
    ];
    for (const entry of this.host.simulator.requests.entries.slice(this.#mark)) {
      if (entry.jobId !== jobId && !mine.some((part) => entry.path.includes(part))) continue;
      spent[entry.route] = (spent[entry.route] ?? 0) + 1;
    }
    const followed = this.followed(jobId).length;
    if (followed > 0) spent['blob'] = (spent['blob'] ?? 0) + followed;
    return spent;
  }
}
