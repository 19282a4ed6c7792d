import { z } from 'zod';
import type { GitHubApi } from './api.ts';
import { dateOf, type RawAppRequest } from './app-requests.ts';
import { headerText } from './rate-limit.ts';

/** What GitHub says of the credentials themselves. */

export interface AppExamination {
  readonly id: number;
  readonly name: string;
  /** By name: `read` or `write`. */
  readonly permissions: Readonly<Record<string, string>>;
  readonly events: readonly string[];
  /** When GitHub answered, by its own clock. */
  readonly date: Date | null;
}

const appSchema = z.looseObject({
  id: z.int(),
  name: z.string().nullish(),
  slug: z.string().nullish(),
  permissions: z.record(z.string(), z.string()),
  events: z.array(z.string()),
});

/** Asks which App the credentials are of. Fails as every App call does. */
export async function examineApp(request: RawAppRequest): Promise<AppExamination> {
  const { text, date } = await request('GET /app', {}, 'the App itself');
  const { id, name, slug, permissions, events } = appSchema.parse(JSON.parse(text));
  return { id, name: name ?? slug ?? String(id), permissions, events, date };
}

/** Asks whether a token is accepted; the rate limit costs nothing to look at. */
export async function examineToken(
  api: GitHubApi,
): Promise<{ readonly status: number; readonly scopes: string | null; readonly date: Date | null }> {
  const { status, headers } = await api.get('/rate_limit', { owner: '', repo: '', installationId: null });
  return {
    status,
    scopes: headerText(headers, 'x-oauth-scopes') ?? null,
    date: dateOf(headerText(headers, 'date') ?? undefined),
  };
}
