import { createHmac, createPublicKey, randomBytes, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { Person } from '../people.ts';

/** What a token may do; `repositoryIds` null means every repository of the installation. */
export interface Grant {
  installationId: number;
  repositoryIds: readonly number[] | null;
  permissions: Readonly<Record<string, string>>;
  expiresAtMs: number;
}

/** Who a request comes from, by its Authorization header alone. */
export type Caller =
  | { kind: 'none' }
  | { kind: 'app' }
  | { kind: 'installation'; grant: Grant }
  | { kind: 'token' }
  | { kind: 'user'; person: Person }
  | { kind: 'refused'; status: 401; message: string };

const JWT_LIFETIME_LIMIT_S = 600;
/** GitHub's clock and the caller's may differ by this much. */
const CLOCK_SKEW_S = 60;
/** Expired tokens are swept when this many are held, so that a long soak does not grow. */
const TOKENS_HELD = 10_000;

const claimsSchema = z.object({
  iss: z.union([z.number(), z.string()]),
  iat: z.number().optional(),
  exp: z.number(),
});
const headerSchema = z.object({ alg: z.literal('RS256') });

function decodeJson(part: string | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(part ?? '', 'base64url').toString('utf8'));
  } catch {
    return null;
  }
}

/** The App's JWT and its installations' tokens, checked as GitHub does. */
export class IssuedCredentials {
  readonly clientId: string;
  tokenLifetimeMs = 3_600_000;
  /** Characters of the tokens issued: about 520 since 2026, 40 on older servers. */
  tokenLength = 520;
  readonly #appId: number;
  readonly #publicKey: KeyObject;
  readonly #acceptToken: string | undefined;
  readonly #now: () => number;
  readonly #grants = new Map<string, Grant>();
  readonly #tokenSecret = randomBytes(32);

  constructor(options: { appId: number; privateKeyPem: string; acceptToken?: string; now: () => number }) {
    this.#appId = options.appId;
    this.clientId = `Iv23li${String(options.appId).padStart(14, '0')}`;
    this.#publicKey = createPublicKey(options.privateKeyPem);
    this.#acceptToken = options.acceptToken;
    this.#now = options.now;
  }

  /** Says who calls; expiry counts, but not what the caller may see. */
  identify(authorization: string | undefined): Caller {
    if (authorization === undefined) return { kind: 'none' };
    const value = /^(?:bearer|token)\s+(\S+)$/i.exec(authorization)?.[1];
    const refused: Caller = { kind: 'refused', status: 401, message: 'Bad credentials' };
    if (value === undefined) return refused;
    if (this.#acceptToken !== undefined && value === this.#acceptToken) return { kind: 'token' };
    const grant = this.#grants.get(value);
    if (grant !== undefined) {
      return grant.expiresAtMs > this.#now() ? { kind: 'installation', grant } : refused;
    }
    return value.startsWith('ey') ? this.#identifyApp(value) : refused;
  }

  #identifyApp(jwt: string): Caller {
    const [header, claims, signature] = jwt.split('.');
    const undecodable = 'A JSON web token could not be decoded';
    const refuse = (message: string): Caller => ({ kind: 'refused', status: 401, message });
    if (!headerSchema.safeParse(decodeJson(header)).success || signature === undefined)
      return refuse(undecodable);
    const signed = Buffer.from(`${header}.${claims}`);
    if (!verify('sha256', signed, this.#publicKey, Buffer.from(signature, 'base64url')))
      return refuse(undecodable);
    const parsed = claimsSchema.safeParse(decodeJson(claims));
    if (!parsed.success) return refuse(undecodable);
    const { iss, iat, exp } = parsed.data;
    const nowS = this.#now() / 1000;
    if (String(iss) !== String(this.#appId) && iss !== this.clientId) return refuse('Integration not found');
    if (exp < nowS) {
      return refuse(
        "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
      );
    }
    if (
      exp > nowS + JWT_LIFETIME_LIMIT_S + CLOCK_SKEW_S ||
      (iat !== undefined && exp - iat > JWT_LIFETIME_LIMIT_S + CLOCK_SKEW_S)
    ) {
      return refuse("'Expiration time' claim ('exp') is too far in the future");
    }
    if (iat !== undefined && iat > nowS + CLOCK_SKEW_S) {
      return refuse(
        "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
      );
    }
    return { kind: 'app' };
  }

  /** What the tokens that are good or have expired may do, oldest first. */
  get grants(): readonly Grant[] {
    return [...this.#grants.values()];
  }

  /** Issues a token in the long stateless format, or the opaque one where that is too short for it. */
  issue(grant: Omit<Grant, 'expiresAtMs'>): { token: string; grant: Grant } {
    const issued = { ...grant, expiresAtMs: this.#now() + this.tokenLifetimeMs };
    const claims = Buffer.from(
      JSON.stringify({
        ins: grant.installationId,
        exp: issued.expiresAtMs,
        jti: randomBytes(12).toString('hex'),
      }),
    );
    const head = `ghs_${this.#appId}_${Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')}.${claims.toString('base64url')}.`;
    const seal = createHmac('sha512', this.#tokenSecret).update(head).digest('base64url');
    const long = (head + seal.repeat(Math.ceil(this.tokenLength / seal.length))).slice(0, this.tokenLength);
    const token = this.tokenLength > head.length + seal.length / 4 ? long : this.#shortToken();
    if (this.#grants.size >= TOKENS_HELD) this.#sweep();
    this.#grants.set(token, issued);
    return { token, grant: issued };
  }

  #shortToken(): string {
    return `ghs_${randomBytes(this.tokenLength).toString('hex')}`.slice(0, this.tokenLength);
  }

  /** Makes every token issued so far invalid, as an uninstall and reinstall would. */
  revokeAll(): void {
    this.#grants.clear();
  }

  #sweep(): void {
    for (const [token, grant] of this.#grants)
      if (grant.expiresAtMs <= this.#now()) this.#grants.delete(token);
    for (const token of this.#grants.keys()) {
      if (this.#grants.size < TOKENS_HELD) break;
      this.#grants.delete(token);
    }
  }
}
