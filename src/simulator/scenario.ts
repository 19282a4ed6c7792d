import { instant } from './logs/default-job.ts';
import { workflowJobPayload } from './delivery-payloads.ts';
import type { SendOptions, SendResult } from './deliveries.ts';
import type { Simulator } from './simulator.ts';
import type { AddJob } from './world.ts';

/**
 * What must come of a delivery: a log with its record, a record that says there is no log, nothing new, or a
 * refusal that leaves no trace in the archive.
 */
export type ExpectedEnding = 'archived' | 'not_produced' | 'duplicate' | 'refused';

export interface ScenarioStep {
  title: string;
  /** `owner/name` of the repository it is about. */
  repository: string;
  jobId: number;
  expect: ExpectedEnding;
  /** Sends the delivery and gives the receiver's answer. */
  send(): Promise<SendResult>;
}

/** Larger than any buffer a log could pass through whole. */
const LARGE_LOG_BYTES = 24 * 1_048_576;
const MATRIX = ['ubuntu-24.04', 'windows-2025', 'macos-15'].flatMap((os) =>
  [20, 24].map((node) => ({ os, node })),
);
/** Far from every job that exists. */
const FORGED_ID_OFFSET = 5_000_000;
const MINUTE_MS = 60_000;
/** Old enough that all jobs, the longest too, lie after their run's beginning. */
const RUN_AGE_MS = 60 * MINUTE_MS;
const RERUN_AGE_MS = 25 * MINUTE_MS;

/** Puts jobs into the world and notes for each what is to be sent and to come of it. */
class Script {
  readonly steps: ScenarioStep[] = [];
  readonly #simulator: Simulator;
  #minutesAgo: number;

  constructor(simulator: Simulator, minutesAgo: number) {
    this.#simulator = simulator;
    this.#minutesAgo = minutesAgo;
  }

  run(repositoryId: number, name: string, conclusion: string): number {
    const { world } = this.#simulator;
    const created_at = instant(world.now() - RUN_AGE_MS);
    const updated_at = instant(world.now());
    return world.run(world.addRun({ repositoryId, name, conclusion, created_at, updated_at })).id;
  }

  job(title: string, expect: ExpectedEnding, input: AddJob): number {
    this.#minutesAgo = Math.max(1, this.#minutesAgo - 1);
    const completedAtMs = this.#simulator.world.now() - this.#minutesAgo * MINUTE_MS;
    const job = this.#simulator.world.addJob({ completedAtMs, ...input });
    const { id } = job.facts;
    this.step(title, expect, id, job.repositoryId, () => this.#simulator.deliveries.completeJob(id));
    return id;
  }

  step(
    title: string,
    expect: ExpectedEnding,
    jobId: number,
    repositoryId: number,
    send: () => Promise<SendResult>,
  ): void {
    const { owner, name } = this.#simulator.world.repository(repositoryId);
    this.steps.push({ title, repository: `${owner}/${name}`, jobId, expect, send });
  }
}

/** Sends the latest delivery about a job once more, as the button in the App's settings does. */
async function redeliverJob({ deliveries }: Simulator, guid: string): Promise<SendResult> {
  const first = deliveries.log.findLast((each) => each.guid === guid);
  if (first === undefined) throw new Error('The scenario redelivers a delivery that was not sent yet');
  return deliveries.redeliver(first.id);
}

/** A well-made delivery about a job that does not exist, signed by somebody without the secret. */
async function forge(simulator: Simulator, modelJobId: number, jobId: number): Promise<SendResult> {
  const links = { apiUrl: simulator.apiUrl, webUrl: new URL(simulator.apiUrl).origin };
  const payload = workflowJobPayload(
    { world: simulator.world, links, appId: simulator.appId },
    modelJobId,
    'completed',
  );
  const forged = JSON.stringify(payload).replaceAll(String(modelJobId), String(jobId));
  const options: SendOptions = { secret: 'a guess at the secret' };
  return simulator.deliveries.send('workflow_job', forged, options);
}

/**
 * One organisation's morning: fills the simulator's world and returns, in order, what to send and what must come of
 * it. The steps are to be sent one after another; no two steps that expect `archived` or `not_produced` share a job.
 */
export function demoScenario(simulator: Simulator): ScenarioStep[] {
  const { world, deliveries } = simulator;
  const installationId = world.addInstallation({ login: 'octo-org' }).id;
  const [shop, firmware, site] = ['Shop', 'firmware', 'website'].map(
    (name) => world.addRepository({ name, installationId }).id,
  );
  if (shop === undefined || firmware === undefined || site === undefined)
    throw new Error('Three repositories expected');
  const script = new Script(simulator, 30);

  const greenRun = script.run(shop, 'CI', 'success');
  const green = world.addJob({ runId: greenRun, name: 'build' });
  const guid = '7c1f6a52-0d3e-4a53-9d8e-5b1f0c9a2e41';
  script.step('a build that passes', 'archived', green.facts.id, shop, () =>
    deliveries.completeJob(green.facts.id, { guid }),
  );
  const redRun = script.run(shop, 'CI', 'failure');
  script.job('tests that fail with exit code 1', 'archived', {
    runId: redRun,
    name: 'test',
    conclusion: 'failure',
  });
  script.job('a deployment skipped because of it', 'not_produced', {
    runId: redRun,
    name: 'deploy',
    conclusion: 'skipped',
  });

  const matrixRun = script.run(firmware, 'Matrix', 'success');
  for (const [index, { os, node }] of MATRIX.entries()) {
    const name = `test (${os}, ${node})`;
    const log = { sizeBytes: 40_000 * (index + 1) };
    script.job(`matrix ${index + 1} of ${MATRIX.length}: ${name}`, 'archived', {
      runId: matrixRun,
      name,
      labels: [os],
      log,
    });
  }
  script.step('the first delivery once more', 'duplicate', green.facts.id, shop, () =>
    redeliverJob(simulator, guid),
  );

  const cancelledRun = script.run(firmware, 'Nightly', 'cancelled');
  const cancelled = { runId: cancelledRun, name: 'flash', conclusion: 'cancelled', runner: null, log: null };
  script.job('a job cancelled before a runner took it', 'not_produced', cancelled);

  world.rerun(redRun, { conclusion: 'success', run_started_at: instant(world.now() - RERUN_AGE_MS) });
  script.job('the failed tests run again: attempt 2', 'archived', {
    runId: redRun,
    name: 'test',
    runAttempt: 2,
  });

  const largeRun = script.run(site, 'Crawl', 'success');
  const log = { sizeBytes: LARGE_LOG_BYTES };
  script.job('a log of 24 MiB', 'archived', {
    runId: largeRun,
    name: 'crawl / every page',
    durationMs: 20 * MINUTE_MS,
    log,
  });

  const forgedId = green.facts.id + FORGED_ID_OFFSET;
  script.step('a forged delivery', 'refused', forgedId, shop, () =>
    forge(simulator, green.facts.id, forgedId),
  );
  return script.steps;
}
