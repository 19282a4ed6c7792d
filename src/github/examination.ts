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

/** Where and how GitHub sends an App's deliveries, as the App's settings say. */
export interface HookConfig {
  /** Empty where none is set. */
  readonly url: string;
  readonly contentType: string;
  /** Whether GitHub takes any certificate of the address. */
  readonly insecureTls: boolean;
}

const hookConfigSchema = z.looseObject({
  url: z.string().nullish(),
  content_type: z.string().nullish(),
  insecure_ssl: z.union([z.string(), z.number()]).nullish(),
});

/** Asks for the App's webhook. Fails as every App call does. */
export async function examineHook(request: RawAppRequest): Promise<HookConfig> {
  const { text } = await request('GET /app/hook/config', {}, "the App's webhook");
  const { url, content_type, insecure_ssl } = hookConfigSchema.parse(JSON.parse(text));
  return {
    url: url ?? '',
    // GitHub's own default where nothing was set.
    contentType: content_type ?? 'form',
    insecureTls: String(insecure_ssl ?? 0) === '1',
  };
}
