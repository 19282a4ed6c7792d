import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  freePort,
  removeTemporaryFolder,
  spawnManaged,
  temporaryFolder,
  type ManagedProcess,
} from '../processes/processes.ts';
import { probeCreateOnly, s3Server, type S3Server } from './s3-connection.ts';
import { ensureServicesInstalled } from './service-packages.ts';

/** Each step of the start takes under 10 s on two cores; a busy machine gets several times that. */
const STEP_TIMEOUT_MS = 60_000;
/** The gateway says nothing when it begins to listen, so it is asked, this often. */
const READY_POLL_MS = 50;
/** Three ports found free may be taken before the daemons bind them; three clashes in a row are no accident. */
const START_ATTEMPTS_MAX = 3;
/** Only what is stored takes memory; this is the size the store claims, so that no test finds it full. */
const MEMSTORE_BYTES = 16 * 1024 ** 3;

const run = promisify(execFile);

/**
 * Starts a real S3 server: one Ceph monitor, one in-memory OSD and one RADOS Gateway, about 12 s and 110 MB.
 * All its data is gone with the process.
 *
 * What Ceph 16.2.15 does with AWS SDK v3, measured: PUT, GET, HEAD, list, multipart, versions, COMPLIANCE and
 * GOVERNANCE locks, default retention and legal hold work, and a locked version is not deleted. Also:
 * - `If-None-Match: *` on a PUT answers 412 in a bucket without versions, also when writers race. In a versioned
 *   bucket, and when completing a multipart upload anywhere, it is ignored: the write succeeds and answers 200.
 * - `Content-MD5` is checked (400 BadDigest). `x-amz-checksum-*` headers are accepted, neither checked nor echoed.
 * - A streamed body without a checksum known in advance, which the SDK sends aws-chunked with a trailer, is refused
 *   with 411 MissingContentLength; with `ChecksumSHA256` given it is stored.
 */
export async function startCephGateway(): Promise<S3Server> {
  await ensureServicesInstalled('ceph');
  for (let attempt = 1; ; attempt += 1) {
    const cluster = new CephCluster();
    try {
      return await cluster.start();
    } catch (error) {
      await cluster.stop();
      if (attempt === START_ATTEMPTS_MAX) throw error;
    }
  }
}

class CephCluster {
  readonly #dir = temporaryFolder('everlog-ceph-');
  readonly #conf = join(this.#dir, 'ceph.conf');
  readonly #keyring = join(this.#dir, 'keyring');
  readonly #fsid = randomUUID();
  readonly #daemons: ManagedProcess[] = [];

  async start(): Promise<S3Server> {
    const [msgr2Port, msgr1Port, gatewayPort] = [await freePort(), await freePort(), await freePort()];
    const monitors = `[v2:127.0.0.1:${msgr2Port},v1:127.0.0.1:${msgr1Port}]`;
    for (const folder of ['run', 'mon', 'osd', 'rgw', 'log']) mkdirSync(join(this.#dir, folder));
    writeFileSync(this.#conf, configuration(this.#dir, this.#fsid, monitors, gatewayPort));
    await this.#startMonitor(monitors);
    await this.#startStore();
    const accessKeyId = 'EVERLOGTESTACCESSKEY';
    const secretAccessKey = randomUUID();
    const user = ['--uid', 'everlog', '--display-name', 'everlog'];
    const keys = ['--access-key', accessKeyId, '--secret-key', secretAccessKey];
    await this.#run('radosgw-admin', ['-n', 'client.admin', 'user', 'create', ...user, ...keys]);
    const endpoint = `http://127.0.0.1:${gatewayPort}`;
    await this.#startGateway(endpoint);
    const reach = { endpoint, accessKeyId, secretAccessKey, region: 'us-east-1' as const };
    const honoursCreateOnly = await probeCreateOnly(reach);
    return s3Server({ ...reach, kind: 'ceph', honoursCreateOnly }, async () => this.stop());
  }

  async stop(): Promise<void> {
    // Nothing of it outlives the folder, so there is nothing to shut down in good order.
    await Promise.all(this.#daemons.map(async (daemon) => daemon.kill('SIGKILL')));
    removeTemporaryFolder(this.#dir);
  }

  async #startMonitor(monitors: string): Promise<void> {
    const allCaps = ['mon', 'osd', 'mds', 'mgr'].flatMap((part) => ['--cap', part, 'allow *']);
    await this.#run('ceph-authtool', [
      '--create-keyring',
      this.#keyring,
      '--gen-key',
      '-n',
      'mon.',
      ...allCaps,
    ]);
    await this.#run('ceph-authtool', [this.#keyring, '--gen-key', '-n', 'client.admin', ...allCaps]);
    const map = join(this.#dir, 'monmap');
    // `--add` would make a monitor of the old protocol only, and every client would hang.
    await this.#run('monmaptool', ['--create', '--fsid', this.#fsid, '--addv', 'a', monitors, map]);
    await this.#run('ceph-mon', ['--mkfs', '-i', 'a', '--monmap', map, '--keyring', this.#keyring]);
    this.#daemon('ceph-mon', ['-i', 'a', '-f']);
  }

  async #startStore(): Promise<void> {
    // The OSD never boots when its own id differs from the one the monitor was told.
    const osdId = randomUUID();
    await this.#run('ceph', ['osd', 'new', osdId]);
    const caps = ['mon', 'allow profile osd', 'mgr', 'allow profile osd', 'osd', 'allow *'];
    const key = await this.#run('ceph', ['auth', 'get-or-create', 'osd.0', ...caps]);
    appendFileSync(this.#keyring, `\n${key}\n`);
    await this.#run('ceph-osd', ['-i', '0', '--mkfs', '--osd-uuid', osdId]);
    this.#daemon('ceph-osd', ['-i', '0', '-f']);
  }

  async #startGateway(endpoint: string): Promise<void> {
    const gateway = this.#daemon('radosgw', ['-n', 'client.admin', '-f']);
    const deadlineMs = Date.now() + STEP_TIMEOUT_MS;
    while (!(await answers(endpoint))) {
      if (!gateway.running || Date.now() > deadlineMs) {
        throw new Error(`the Ceph gateway did not start:\n${gateway.stderr()}${this.#logTail()}`);
      }
      await delay(READY_POLL_MS);
    }
  }

  #logTail(): string {
    const log = join(this.#dir, 'log', 'client.admin.log');
    return existsSync(log) ? readFileSync(log, 'utf8').slice(-4000) : '';
  }

  #daemon(program: string, args: readonly string[]): ManagedProcess {
    const daemon = spawnManaged(program, [...args, '-c', this.#conf]);
    this.#daemons.push(daemon);
    return daemon;
  }

  async #run(program: string, args: readonly string[]): Promise<string> {
    const { stdout } = await run(program, [...args, '-c', this.#conf], { timeout: STEP_TIMEOUT_MS });
    return stdout;
  }
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    const response = await fetch(endpoint);
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

function configuration(dir: string, fsid: string, monitors: string, gatewayPort: number): string {
  return `[global]
fsid = ${fsid}
mon_initial_members = a
mon_host = ${monitors}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
keyring = ${dir}/keyring
run_dir = ${dir}/run
admin_socket = ${dir}/run/$name.$pid.asok
pid_file = ${dir}/run/$name.pid
log_file = ${dir}/log/$name.log
mon_data = ${dir}/mon
osd_data = ${dir}/osd
rgw_data = ${dir}/rgw
mon_data_avail_crit = 1
mon_allow_pool_size_one = true
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = ${MEMSTORE_BYTES}

[client.admin]
rgw_frontends = beast endpoint=127.0.0.1:${gatewayPort}
rgw_dns_name = localhost
`;
}
