#!/usr/bin/env node
// The command as it is installed: runs the program that stands beside it. Compiling that takes a third of a short command's time, so
// the build leaves V8's code cache of it too. A cache of another build, or of another engine (V8 judges that itself), is
// ignored: the program then starts slower and does the same. It is one script, not a module, as engines of Node 20 keep caches of those only.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Script, constants } from 'node:vm';

const PROGRAM = join(import.meta.dirname, 'everlog.cjs');
/** The first characters of the program hold a hash of it, and its cache begins with them: the files are replaced one by one. */
const NAMED_BY = 100;

const source = readFileSync(PROGRAM, 'utf8');
const script = new Script(source, {
  filename: PROGRAM,
  cachedData: cacheOf(source.slice(0, NAMED_BY)),
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});
script.runInThisContext()(createRequire(PROGRAM), { exports: {} }, PROGRAM, dirname(PROGRAM));

function cacheOf(name) {
  try {
    const cache = readFileSync(`${PROGRAM}.cache`);
    return cache.toString('latin1', 0, NAMED_BY) === name ? cache.subarray(NAMED_BY) : undefined;
  } catch {
    return undefined;
  }
}
