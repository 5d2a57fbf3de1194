import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';

/** The files of the current build that `npm publish` would send. */
async function packed(): Promise<string[]> {
  const { stdout } = await promisify(execFile)('npm', [
    'pack',
    '--dry-run',
    '--json',
    '--ignore-scripts',
  ]);
  const [pack] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  return pack.files.map(({ path }) => path).sort();
}

/** Each file of lib/ in both formats, with its types. The command line is only in ESM. */
function built(): string[] {
  const sources = readdirSync('lib', { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const library = sources.filter((name) => !name.startsWith('cli/'));
  const files = (format: string, names: string[]): string[] =>
    names.flatMap((name) =>
      ['.js', '.d.ts'].map((ending) => `dist/${format}/${name.replace(/\.ts$/, ending)}`),
    );
  return [...files('esm', sources), ...files('cjs', library), 'dist/cjs/package.json'].sort();
}

describe('the package', () => {
  it('has each file of the library in both formats, the pages of docs/, and nothing else', async () => {
    const files = await packed();
    expect(files.filter((name) => name.startsWith('dist/'))).toEqual(built());
    const others = files.filter((name) => !/^(dist|docs)\//.test(name));
    expect(others).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'lib/schematics/collection.json',
      'monitoring/alerts.yml',
      'monitoring/grafana.json',
      'package.json',
    ]);
    const pages = files.filter((name) => name.startsWith('docs/'));
    expect(pages).toContain('docs/troubleshooting.md');
    expect(pages.filter((name) => name.includes('reference/api'))).toEqual([]);
  });

  it('has each file that its README shows or names, and only pages of docs/', async () => {
    const files = await packed();
    const readme = readFileSync('README.md', 'utf8');
    const shown = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, name = '']) => name);
    const named = [...readme.matchAll(/`((?:docs|monitoring)\/[\w./-]+\.\w+)`/g)].map(
      ([, name = '']) => name,
    );
    expect(named.length).toBeGreaterThan(10);
    expect([...shown, ...named].filter((name) => !files.includes(name))).toEqual([]);
    const pictures = files.filter((name) => name.startsWith('docs/') && !name.endsWith('.md'));
    expect(pictures).toEqual(shown.filter((name) => !name.endsWith('.md')));
  });
});
