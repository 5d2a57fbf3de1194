import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CliProject, type CliRun } from '../../support/cli-project.js';

const URL = 'postgres://admin:very@se/cret@localhost:1/shop?password=very-secret&x=1';

describe('matviews, on projects that are broken (features.md, row 6)', () => {
  let project: CliProject;

  beforeAll(() => {
    project = new CliProject('javascript-cjs', { databaseUrl: URL });
  });

  afterAll(() => project.remove());

  const place = (file: string, text: string): void => {
    mkdirSync(path.dirname(path.join(project.directory, file)), { recursive: true });
    writeFileSync(path.join(project.directory, file), text);
  };

  const runOn = (text: string, ...flags: string[]): Promise<CliRun> => {
    place('broken.js', text);
    return project.run('list', '-d', 'broken.js', '--json', ...flags);
  };

  it.each([
    ['throws', 'throw new Error(process.env.CLI_DATABASE_URL)', /cannot be loaded: postgres:/],
    [
      'exports a promise that fails',
      'module.exports = Promise.reject(new Error(process.env.CLI_DATABASE_URL))',
      /cannot be loaded: postgres:/,
    ],
    [
      'fails later',
      `setTimeout(() => { throw new Error(process.env.CLI_DATABASE_URL) });
       module.exports = new Promise(() => undefined)`,
      /^postgres:/,
    ],
    [
      'leaves a promise that fails',
      `Promise.reject(new Error(process.env.CLI_DATABASE_URL));
       module.exports = new Promise(() => undefined)`,
      /^postgres:/,
    ],
  ])('reports a data source file that %s, without passwords', async (_, text, message) => {
    for (const flags of [[], ['--verbose']]) {
      const { code, stdout, stderr } = await runOn(text, ...flags);
      expect(code).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({
        error: { message: expect.stringMatching(message) as unknown },
      });
      expect(stderr).toMatch(/^error: /);
      expect(stderr.includes('\n    at ')).toBe(flags.length > 0);
      expect(stdout + stderr).not.toMatch(/very|cret/);
      expect(stderr).toContain('postgres://admin:***@localhost:1/shop?password=***&x=1');
    }
  });

  it('finds the files of an application in JavaScript', async () => {
    place('package.json', JSON.stringify({ dependencies: { '@nestjs/core': '^12.0.0' } }));
    place('src/app.module.js', '@Module({})\nexport class AppModule {}\n');
    place('src/data-source.js', '');
    place('src/main.js', '');
    const { stdout } = await project.run('init', '--json');
    const { left } = JSON.parse(stdout) as { left: { file?: string; text: string }[] };
    expect(left.map(({ file }) => file)).toEqual([
      undefined,
      'src/app.module.js',
      'package.json',
      'src/main.js',
    ]);
    expect(left[2]?.text).toBe('"matviews": { "dataSource": "src/data-source.js" }');
  });
});
