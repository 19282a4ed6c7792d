/** A right of a role as the table says it: actions without `s3:`, and prefixes of keys; of the bucket itself an empty one. */
export interface SaidRight {
  readonly actions: readonly string[];
  readonly keys: readonly string[];
}

/** Reads the table of rights by role out of docs/aws.md: rows of role, actions and keys, a role's name only in its first. */
export function rolesOfTable(
  page: string,
): readonly { readonly role: string; readonly rights: readonly SaidRight[] }[] {
  const [, table = ''] = /\n\| role +\| actions \(`s3:…`\).*\n\|[ |-]+\n((?:\|.*\n)+)/.exec(page) ?? [];
  const roles: { role: string; rights: SaidRight[] }[] = [];
  for (const row of table.split('\n').filter((each) => each !== '')) {
    const [, role = '', actions = '', keys = ''] = row.split('|').map((cell) => cell.trim());
    if (role !== '') roles.push({ role: role.replaceAll('`', ''), rights: [] });
    if (actions === 'none') continue;
    roles
      .at(-1)
      ?.rights.push({ actions: wordsOf(actions), keys: keys === 'the bucket' ? [''] : wordsOf(keys) });
  }
  return roles;
}

function wordsOf(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);
}
