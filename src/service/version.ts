import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Everlog's version, from the package it was installed as. */
export function readVersion(): string {
  // The file stands two folders up from the sources and three from the build.
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const found: unknown = JSON.parse(readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8'));
      if (isPackage(found)) return found.version;
    } catch {
      continue;
    }
  }
  throw new Error('package.json was not found beside the program');
}

function isPackage(value: unknown): value is { name: string; version: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    value.name === 'everlog' &&
    'version' in value
  );
}
