import { z } from 'zod';

/** AWS access policies, judged as IAM judges them within one account. What is not modelled here throws, and is never passed over. */

const words = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat());
const values = z
  .union([z.string(), z.number(), z.boolean(), z.array(z.union([z.string(), z.number()]))])
  .transform((value) => [value].flat().map(String));

const statementSchema = z
  .strictObject({
    Sid: z.string().optional(),
    Effect: z.enum(['Allow', 'Deny']),
    Principal: z
      .union([
        z.string(),
        z.strictObject({ AWS: words.default([]), Service: words.default([]) }),
        z.array(z.string()),
      ])
      .optional(),
    Action: words.optional(),
    NotAction: words.optional(),
    Resource: words.optional(),
    NotResource: words.optional(),
    Condition: z.record(z.string(), z.record(z.string(), values)).optional(),
  })
  .refine((it) => (it.Action === undefined) !== (it.NotAction === undefined), 'Action or NotAction')
  .refine((it) => it.Resource === undefined || it.NotResource === undefined, 'Resource or NotResource');

export const policySchema = z.strictObject({
  Version: z.string().optional(),
  Statement: z.array(statementSchema),
});

export type Statement = z.infer<typeof statementSchema>;
export type Policy = z.infer<typeof policySchema>;

/** What somebody asks to be allowed. */
export interface AccessRequest {
  /** ARN of a role, or the name by which a store knows a user. */
  readonly principal: string;
  readonly action: string;
  /** An ARN. */
  readonly resource: string;
  /** Condition keys in lower case; one that is missing is absent from the request. */
  readonly context: Readonly<Record<string, string>>;
}

export interface Policies {
  /** Those of the principal itself. */
  readonly identity: readonly Policy[];
  /** Those of the bucket or key that is asked for. */
  readonly resource: readonly Policy[];
}

/** `denied` by a statement that says so; `not_allowed` where none allows it. Either is a refusal. */
export type Judgement = 'allowed' | 'denied' | 'not_allowed';

export function judge(request: AccessRequest, policies: Policies): Judgement {
  const identity = policies.identity.flatMap(({ Statement }) => Statement);
  const resource = policies.resource
    .flatMap(({ Statement }) => Statement)
    .filter((statement) => namesPrincipal(statement, request.principal));
  const fitting = [...identity, ...resource].filter((statement) => fits(statement, request));
  if (fitting.some(({ Effect }) => Effect === 'Deny')) return 'denied';
  return fitting.length > 0 ? 'allowed' : 'not_allowed';
}

function namesPrincipal({ Principal }: Statement, principal: string): boolean {
  if (Principal === undefined) throw new Error('a policy of a resource names its principals');
  const named =
    typeof Principal === 'object' && 'AWS' in Principal
      ? [...Principal.AWS, ...Principal.Service]
      : [Principal].flat().map(String);
  return named.includes('*') || named.includes(principal);
}

function fits(statement: Statement, request: AccessRequest): boolean {
  const { Action, NotAction, Resource, NotResource, Condition = {} } = statement;
  const matches = (patterns: readonly string[], text: string): boolean =>
    patterns.some((pattern) => isLike(text, pattern));
  const action = request.action.toLowerCase();
  const actions = (Action ?? NotAction ?? []).map((each) => each.toLowerCase());
  if (matches(actions, action) !== (Action !== undefined)) return false;
  if (Resource !== undefined && !matches(Resource, request.resource)) return false;
  if (NotResource !== undefined && matches(NotResource, request.resource)) return false;
  return Object.entries(Condition).every(([operator, keys]) =>
    Object.entries(keys).every(([key, wanted]) =>
      holds(operator, wanted, request.context[key.toLowerCase()]),
    ),
  );
}

function holds(operator: string, wanted: readonly string[], present: string | undefined): boolean {
  if (operator === 'Null') return wanted.includes(String(present === undefined));
  if (operator.endsWith('IfExists'))
    return present === undefined || holds(operator.slice(0, -'IfExists'.length), wanted, present);
  switch (operator) {
    case 'StringEquals':
    case 'ArnEquals':
    case 'Bool':
      return present !== undefined && wanted.includes(present);
    case 'StringLike':
    case 'ArnLike':
      return present !== undefined && wanted.some((pattern) => isLike(present, pattern));
    // A negated condition holds where the key is missing.
    case 'StringNotEquals':
    case 'ArnNotEquals':
      return present === undefined || !wanted.includes(present);
    case 'StringNotLike':
    case 'ArnNotLike':
      return present === undefined || !wanted.some((pattern) => isLike(present, pattern));
    case 'NumericGreaterThan':
      return present !== undefined && wanted.some((limit) => Number(present) > Number(limit));
    case 'NumericLessThan':
      return present !== undefined && wanted.some((limit) => Number(present) < Number(limit));
    default:
      throw new Error(`no condition operator is known as ${operator}`);
  }
}

/** `*` is any text, `?` any character. */
function isLike(text: string, pattern: string): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(text);
}
