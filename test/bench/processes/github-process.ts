/**
 * A GitHub that answers at once, for measuring: job objects, log links and logs, `github-process.ts`. A job's id says how long its
 * log is (see `log-sizes.ts`). It prints its origin in a line of JSON. `GET /_calls` tells how many API calls there were since it
 * was last asked, `PUT /_remaining?N` sets what is left of the rate limit in every answer, `PUT /_runs?N` how many runs its lists hold.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { generatedLog } from '../../../src/simulator/logs/log-text.ts';
import { defaultSteps } from '../../../src/simulator/logs/default-job.ts';
import { readWholeLog } from '../../../src/simulator/logs/log-source.ts';
import { jobObject } from '../areas/deliveries.ts';
import { answerList } from '../areas/github-runs.ts';
import { logBytesOf } from '../areas/log-sizes.ts';

const BLOCK_BYTES = 20_000_000;
const LIMIT = 1_000_000;
const API = '/api/v3';
const JOB = /^\/api\/v3\/repos\/[^/]+\/[^/]+\/actions\/jobs\/(\d+)(\/logs)?$/;

let origin = '';
let calls = 0;
let remaining = LIMIT;
let runs = 0;

const block = readWholeLog(
  generatedLog({
    seed: 1,
    jobName: 'build',
    repository: 'octo-org/octo-repo',
    steps: defaultSteps(Date.parse('2026-11-20T10:00:00Z'), Date.parse('2026-11-20T11:00:00Z'), 'success'),
    bytes: BLOCK_BYTES,
  }),
).subarray(0, BLOCK_BYTES);

const server = createServer((incoming, outgoing) => {
  const url = incoming.url ?? '';
  const job = JOB.exec(url);
  if (job !== null) answerJob(outgoing, Number(job[1]), job[2] !== undefined);
  else if (url.startsWith('/log/')) sendLog(outgoing, Number(url.slice('/log/'.length)));
  else answerOther(incoming, outgoing, url);
});

function answerJob(outgoing: ServerResponse, id: number, isLog: boolean): void {
  calls += 1;
  const rate = {
    'x-ratelimit-limit': LIMIT,
    'x-ratelimit-remaining': remaining,
    'x-ratelimit-reset': Math.floor(Date.now() / 1000) + 3600,
  };
  if (isLog) {
    outgoing.writeHead(302, { ...rate, location: `${origin}/log/${id}`, 'content-length': 0 }).end();
    return;
  }
  const body = JSON.stringify(jobObject(id));
  outgoing.writeHead(200, {
    ...rate,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  outgoing.end(body);
}

function sendLog(outgoing: ServerResponse, id: number): void {
  const bytes = logBytesOf(id);
  outgoing.writeHead(200, { 'content-type': 'text/plain', 'content-length': bytes });
  if (bytes <= block.length) {
    outgoing.end(block.subarray(0, bytes));
    return;
  }
  let sent = 0;
  const more = (): void => {
    while (sent < bytes) {
      const piece = block.subarray(0, Math.min(block.length, bytes - sent));
      sent += piece.length;
      if (!outgoing.write(piece)) {
        outgoing.once('drain', more);
        return;
      }
    }
    outgoing.end();
  };
  more();
}

function answerOther(incoming: IncomingMessage, outgoing: ServerResponse, url: string): void {
  if (url === '/_calls') {
    outgoing.end(JSON.stringify({ calls }));
    calls = 0;
  } else if (incoming.method === 'PUT' && url.startsWith('/_remaining?')) {
    remaining = Number(url.slice('/_remaining?'.length));
    outgoing.end();
  } else if (incoming.method === 'PUT' && url.startsWith('/_runs?')) {
    runs = Number(url.slice('/_runs?'.length));
    outgoing.end();
  } else if (url === '/api/v3/versions') {
    outgoing.writeHead(200, { 'content-type': 'application/json' }).end('["2022-11-28"]');
  } else {
    sendList(outgoing, url);
  }
}

function sendList(outgoing: ServerResponse, url: string): void {
  const answer = url.startsWith(API) ? answerList(origin + API, url.slice(API.length), runs) : null;
  if (answer === null) {
    outgoing.writeHead(404, { 'content-length': 0 }).end();
    return;
  }
  calls += 1;
  outgoing.writeHead(200, {
    'content-type': 'application/json',
    'x-ratelimit-limit': LIMIT,
    'x-ratelimit-remaining': remaining,
    'x-ratelimit-reset': Math.floor(Date.now() / 1000) + 3600,
    ...(answer.link === null ? {} : { link: answer.link }),
  });
  outgoing.end(JSON.stringify(answer.body));
}

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  origin = `http://127.0.0.1:${address.port}`;
  process.stdout.write(`${JSON.stringify({ origin })}\n`);
});
