import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { promisify } from 'node:util';

/** Which files `npm publish` would send, of the build that is there. */
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

/** Both formats of each file of lib/, with its types; of the command line only what it runs as. */
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
    expect(pages.filter((name) => !name.endsWith('.md') || name.includes('reference/api'))).toEqual(
      [],
    );
  });
});
