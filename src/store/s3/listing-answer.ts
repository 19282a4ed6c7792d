import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { retryable, type EverlogError } from '../../errors.ts';

/**
 * What only S3 answers to a listing. A console's port, a proxy or a captive portal answers any request with a page and 200, which
 * the SDK takes for a listing of nothing: an archive would be said to be empty.
 */
export type ListingRoot = 'ListBucketResult' | 'ListVersionsResult';

/** What may stand before the root: mark, declaration, comments, space. */
const BEFORE_ROOT = /^(?:\uFEFF|\s|<\?[^>]*\?>|<!--[^]*?-->)*/;
/** How far into an answer its root is looked for. */
const HEAD_BYTES = 4 * 1024;

/** What is needed of a command to see its answer before the SDK reads it. */
interface ListingCommand {
  readonly middlewareStack: {
    add(
      middleware: <Args extends object, Out extends object>(
        next: (args: Args) => Promise<Out>,
      ) => (args: Args) => Promise<Out>,
      options: { step: 'deserialize'; name: string; priority: 'low' },
    ): void;
  };
}

/** Fails when the root of an answer is not that of a listing. `location` is the archive's. */
export function demandListing(location: string, root: ListingRoot, text: string): void {
  const head = text.slice(0, HEAD_BYTES).replace(BEFORE_ROOT, '');
  // A failure under status 200 is the SDK's to tell.
  if (new RegExp(`^<(?:${root}|Error)[\\s/>]`).test(head)) return;
  throw notS3(location, head === '' ? 'nothing' : 'something else');
}

/** Why an answer is none of S3's. Passes by itself where a proxy answers for a while. */
function notS3(location: string, answer: string): EverlogError {
  return retryable(
    'store_unavailable',
    `${location}: this is not an S3 endpoint: it answered a listing with ${answer}; correct AWS_ENDPOINT_URL_S3 (or what answers in the store's place)`,
  );
}

/** Has a command's answer looked at before the SDK reads it; the command fails with what `demandListing` throws. */
export function watchListing(command: ListingCommand, location: string, root: ListingRoot): void {
  command.middlewareStack.add(
    (next) => async (args) => {
      const answer = await next(args);
      if ('response' in answer && isAnswer(answer.response)) {
        const { response } = answer;
        const bytes = await buffer(response.body);
        response.body = Readable.from([bytes]);
        demandListing(location, root, bytes.toString('utf8', 0, HEAD_BYTES));
      }
      return answer;
    },
    { step: 'deserialize', name: 'everlogListing', priority: 'low' },
  );
}

/** An answer that the SDK takes for a success. */
function isAnswer(response: unknown): response is { body: Readable } {
  if (typeof response !== 'object' || response === null) return false;
  const isOk = 'statusCode' in response && (response.statusCode === 200 || response.statusCode === 204);
  return isOk && 'body' in response && response.body instanceof Readable;
}
