import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

test('bundled, minified and compressed, the client has at most 8 KiB', () => {
  const { outputFiles } = buildSync({ entryPoints: [`${root}src/index.js`], bundle: true, minify: true, format: 'esm', target: 'es2022', write: false });
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  assert.ok(size <= 8192, `${size} bytes`);
});

test('the types are right', () => {
  execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', root], { stdio: 'inherit' });
});

test('the package has the modules, their types and no dependency', () => {
  const { dependencies, peerDependencies, optionalDependencies } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
  assert.deepEqual([dependencies, peerDependencies, optionalDependencies], [undefined, undefined, undefined]);
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  const names = files.map((f) => f.path);
  for (const name of names) assert.match(name, /^(src\/\w+\.js|types\/\w+\.d\.ts|package\.json|README\.md|LICENSE)$/);
  for (const name of ['src/index.js', 'types/index.d.ts', 'README.md', 'LICENSE']) assert.ok(names.includes(name), `no ${name} in ${names}`);
});

test('the lockfile names no registry', () => {
  assert.doesNotMatch(readFileSync(`${root}package-lock.json`, 'utf8'), /"resolved"|https?:/);
});
