import { createHash, randomBytes } from 'node:crypto';

/** Somebody with an account at the simulated GitHub. */
export interface Person {
  readonly id: number;
  readonly login: string;
  /** Ids of the repositories that they may see. */
  readonly sees: Set<number>;
}

interface Agreement {
  readonly person: Person;
  readonly challenge: string;
  readonly redirectUri: string;
}

/** People, and the tokens that an App has of them by the web flow with PKCE. */
export class People {
  /** Whose browser comes to agree; null: nobody is logged in there. */
  signedIn: Person | null = null;
  readonly #agreements = new Map<string, Agreement>();
  readonly #tokens = new Map<string, Person>();

  /** Notes that whoever is signed in agrees; gives the code for it, null where nobody is. */
  agree(challenge: string, redirectUri: string): string | null {
    if (this.signedIn === null) return null;
    const code = randomBytes(10).toString('hex');
    this.#agreements.set(code, { person: this.signedIn, challenge, redirectUri });
    return code;
  }

  /** A token for a code, which is good once, with the verifier of its challenge; null otherwise. */
  exchange(code: string, verifier: string, redirectUri: string): string | null {
    const agreement = this.#agreements.get(code);
    this.#agreements.delete(code);
    const challenge = createHash('sha256').update(verifier).digest('base64url');
    if (agreement?.challenge !== challenge || agreement.redirectUri !== redirectUri) return null;
    const token = `ghu_${randomBytes(18).toString('hex')}`;
    this.#tokens.set(token, agreement.person);
    return token;
  }

  /** Whose token an Authorization header has; null where it is none of theirs. */
  holderOf(authorization: string | undefined): Person | null {
    const token = /^(?:bearer|token)\s+(ghu_\S+)$/i.exec(authorization ?? '')?.[1];
    return token === undefined ? null : (this.#tokens.get(token) ?? null);
  }

  /** Makes every token of somebody invalid, as when they withdraw what they agreed to. */
  revoke(person: Person): void {
    for (const [token, holder] of this.#tokens) if (holder === person) this.#tokens.delete(token);
  }
}
