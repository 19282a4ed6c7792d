/**
 * An S3 that takes everything and keeps nothing, for measuring: `store-process.ts`. It prints its origin in a line of JSON. An object
 * that is stored twice is refused only where that is asked about (`probe/`), and listings are empty. `GET /_commits` tells which
 * jobs' records came since it was last asked, with the moment at which each was answered, in milliseconds of the epoch.
 */
import { createServer } from 'node:http';
import { performance } from 'node:perf_hooks';

const RECORD = /\/v1\/records\/.*\/(\d+)\.json$/;
const LISTING =
  '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
  '<Name>b</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>';
const NOTHING = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code></Error>';

let commits: [number, number][] = [];
let hasProbe = false;

const server = createServer((incoming, outgoing) => {
  const path = (incoming.url ?? '').split('?', 1)[0] ?? '';
  incoming.resume();
  incoming.on('end', () => {
    if (path === '/_commits') {
      outgoing.end(JSON.stringify(commits));
      commits = [];
    } else if (incoming.method === 'PUT' && path.includes('/probe/') && hasProbe) {
      outgoing.writeHead(412, { 'content-length': 0 }).end();
    } else if (incoming.method === 'PUT') {
      hasProbe ||= path.includes('/probe/');
      outgoing.writeHead(200, { etag: '"0"', 'content-length': 0 }).end();
      const job = RECORD.exec(path)?.[1];
      if (job !== undefined) commits.push([Number(job), performance.timeOrigin + performance.now()]);
    } else if (incoming.method === 'GET' && (incoming.url ?? '').includes('list-type=2')) {
      outgoing.writeHead(200, { 'content-type': 'application/xml', 'content-length': LISTING.length });
      outgoing.end(LISTING);
    } else {
      outgoing.writeHead(404, { 'content-type': 'application/xml', 'content-length': NOTHING.length });
      outgoing.end(NOTHING);
    }
  });
});

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  process.stdout.write(`${JSON.stringify({ origin: `http://127.0.0.1:${address.port}` })}\n`);
});
