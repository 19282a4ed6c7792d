import { z } from 'zod';
import type { GitHubHost } from '../github/host.ts';

/** What a GitHub App of Everlog's is registered as (https://docs.github.com/apps/sharing-github-apps). */
export interface Registration {
  /** Name of the App, which must be free on the host. */
  readonly name: string;
  /** Address at which the receiver will be reached; GitHub refuses one on localhost. */
  readonly webhookUrl: string;
  /** Organisation that is to own it; null for the person who clicks. */
  readonly organisation: string | null;
}

/** Credentials of a new App, as GitHub gives them once. */
export interface NewApp {
  readonly id: number;
  readonly name: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly privateKey: string;
  /** The App's page, from where it is installed. */
  readonly url: string;
}

/** GitHub's limit for the name of an App. */
const NAME_CHARACTERS_MAX = 34;

/** The manifest that the page posts. A secret inside `hook_attributes` is refused by GitHub, so it is set afterwards. */
export function manifestOf({ name, webhookUrl }: Registration, redirectUrl: string): object {
  return {
    name: name.slice(0, NAME_CHARACTERS_MAX),
    url: 'https://github.com/everlog/everlog',
    public: false,
    redirect_url: redirectUrl,
    hook_attributes: { url: webhookUrl, active: true },
    default_permissions: { actions: 'read', metadata: 'read' },
    default_events: ['workflow_job', 'workflow_run'],
  };
}

/** Where the manifest is posted to on a host's web pages. */
export function formActionOf(host: GitHubHost, organisation: string | null, state: string): string {
  const place =
    organisation === null
      ? '/settings/apps/new'
      : `/organizations/${encodeURIComponent(organisation)}/settings/apps/new`;
  return `${webOriginOf(host)}${place}?state=${encodeURIComponent(state)}`;
}

/** Origin of a host's web pages: `https://github.com`, `https://SUB.ghe.com`, or the appliance's own. */
export function webOriginOf(host: GitHubHost): string {
  return host.product === 'ghes' ? new URL(host.apiUrl).origin : `https://${host.host}`;
}

const conversionSchema = z.looseObject({
  id: z.int().positive(),
  slug: z.string().min(1),
  name: z.string(),
  client_id: z.string(),
  client_secret: z.string(),
  /** Null where the manifest asked for none. */
  webhook_secret: z.string().nullish(),
  pem: z.string().min(1),
  html_url: z.string(),
});

/** Reads GitHub's answer to a conversion; null for anything else. */
export function newAppOf(answer: unknown): NewApp | null {
  const parsed = conversionSchema.safeParse(answer);
  if (!parsed.success) return null;
  const { id, name, client_id, client_secret, pem, html_url } = parsed.data;
  return { id, name, clientId: client_id, clientSecret: client_secret, privateKey: pem, url: html_url };
}
