import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { z } from 'zod';
import type { CommandWithStack } from './direct.ts';
import { watchListing } from './listing-answer.ts';
import { call, type S3Context } from './context.ts';

/** What time a bucket's server says that it is; null where its answers have no date. */
export async function clockOf(context: S3Context): Promise<Date | null> {
  return call(context, 'asking for the time', async (abortSignal) => {
    const { bucket, prefix } = context;
    const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 });
    let date: Date | null = null;
    watchListing(command, context.location, 'ListBucketResult');
    watchDate(command, (seen) => (date = seen));
    await context.client.send(command, { abortSignal });
    return date;
  });
}

const answered = z.object({
  response: z.object({ headers: z.record(z.string(), z.string()) }),
});

function watchDate(command: CommandWithStack<'deserialize'>, see: (date: Date) => void): void {
  command.middlewareStack.add(
    (next) => (args) => {
      const answer = next(args);
      void noteDate(answer, see);
      return answer;
    },
    { step: 'deserialize', name: 'everlogClock' },
  );
}

async function noteDate(answer: unknown, see: (date: Date) => void): Promise<void> {
  try {
    const seen = answered.safeParse(await answer);
    const ms = Date.parse(seen.data?.response.headers['date'] ?? '');
    if (!Number.isNaN(ms)) see(new Date(ms));
  } catch {
    // Whoever sent the command hears of its failure.
  }
}
