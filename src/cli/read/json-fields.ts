import { objectText, type JsonText } from '../../json-text.ts';

/** Members that `--json` can choose: those of a record, and of its members with a point between. */
const FIELDS = /^[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*$/;
/** More are the whole record. */
const FIELDS_MAX = 50;

/** The members that a `--json` names; null for the whole document, `bad` for what is no list of names. */
export function fieldsOf(json: boolean | string | undefined): readonly string[] | null | 'bad' {
  if (typeof json !== 'string') return null;
  const fields = json.split(',').map((field) => field.trim());
  return fields.length <= FIELDS_MAX && fields.every((field) => FIELDS.test(field)) ? fields : 'bad';
}

/** The chosen members of a document as one line of JSON, in the order they were asked for; what it does not have is null. */
export function chosenFields(document: JsonText, fields: readonly string[]): string {
  return objectText(Object.fromEntries(fields.map((field) => [field, memberAt(document, field)])));
}

function memberAt(document: JsonText, path: string): JsonText | null {
  let value: JsonText | null = document;
  for (const name of path.split('.')) value = value?.member(name) ?? null;
  return value;
}
