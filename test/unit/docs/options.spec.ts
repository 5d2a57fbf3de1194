import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

interface Option {
  name: string;
  /** What the docstring says after `@default`. */
  fallback?: string;
}

/** Tables of options in docs/, and the interfaces whose options they list together. */
interface OptionTables {
  /** The first cell of each table's head. */
  head: string;
  pages: string[];
  interfaces: string[];
}

const TABLES: OptionTables[] = [
  {
    head: 'option of `@MaterializedViewEntity`',
    pages: ['guide/declaring-a-view.md'],
    interfaces: ['MaterializedViewEntityOptions'],
  },
  {
    head: 'option of `refresh`',
    pages: ['guide/declaring-a-view.md', 'guide/staying-fresh.md'],
    interfaces: ['ViewRefreshOptions'],
  },
  {
    head: 'option of `@PlainViewEntity`',
    pages: ['guide/plain-views.md'],
    interfaces: ['PlainViewEntityOptions'],
  },
  {
    head: 'option of `refresh()`',
    pages: ['guide/on-demand.md'],
    interfaces: ['RefreshOptions', 'SingleRefreshOptions', 'ViewSelector', 'DataSourceSelector'],
  },
  {
    head: 'option of `refreshMany()`',
    pages: ['guide/many-views.md'],
    interfaces: ['GraphOptions', 'RefreshManyOptions'],
  },
  {
    head: 'option of `inspect()`',
    pages: ['guide/introspection.md'],
    interfaces: ['InspectQuery', 'AnswerOptions'],
  },
  {
    head: 'option of the dashboard',
    pages: ['guide/dashboard.md'],
    interfaces: ['MaterializedViewsDashboardOptions'],
  },
  {
    head: 'option of `isFresh()`',
    pages: ['guide/monitoring.md'],
    interfaces: ['FreshnessOptions'],
  },
  {
    head: 'option of `forRoot`',
    pages: ['reference/module-options.md', 'guide/changing-a-view.md'],
    interfaces: ['MaterializedViewsModuleOptions', 'MaterializedViewsModuleExtras'],
  },
];

const sources = readdirSync('lib', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => path.join('lib', name))
  .map((name) =>
    ts.createSourceFile(name, readFileSync(name, 'utf8'), ts.ScriptTarget.ES2022, true),
  );

const interfaces = new Map<string, Option[]>();
sources.forEach((source) =>
  ts.forEachChild(source, (node) => {
    if (ts.isInterfaceDeclaration(node)) {
      interfaces.set(node.name.text, node.members.filter(ts.isPropertySignature).map(optionOf));
    }
  }),
);

function optionOf(member: ts.PropertySignature): Option {
  const tag = ts.getJSDocTags(member).find(({ tagName }) => tagName.text === 'default');
  const text = tag && ts.getTextOfJSDocComment(tag.comment);
  return { name: member.name.getText(), fallback: text?.replaceAll(/\s+/g, ' ') };
}

const cellsOf = (line: string): string[] =>
  line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());

/** The rows of a table: an option, and the text of its default. */
function rowsOf(page: string, head: string): [name: string, fallback: string][] {
  const lines = readFileSync(path.join('docs', page), 'utf8').split('\n');
  const start = lines.findIndex((line) => cellsOf(line)[0] === head);
  const column = cellsOf(lines[start] ?? '').findIndex((cell) => /^default$/i.test(cell));
  const body = lines.slice(start + 2);
  return body
    .slice(
      0,
      body.findIndex((line) => !line.startsWith('|')),
    )
    .map(cellsOf)
    .flatMap((cells) => {
      const names = [...(cells[0] ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name);
      return names.map((name): [string, string] => [name, cells[column] ?? '']);
    });
}

const isLiteral = (text: string): boolean => /^(?:'[^']*'|\d+|true|false|\[\]|\{\})$/.test(text);

describe.each(TABLES)('each "$head" of docs/', ({ head, pages, interfaces: names }) => {
  const options = names.flatMap((name) => interfaces.get(name) ?? []);
  const rows = pages.flatMap((page) => rowsOf(page, head));

  it('has one row, in one table, and each row is about an option', () => {
    const declared = new Set(options.map(({ name }) => name));
    expect(rows.map(([name]) => name).sort()).toEqual([...declared].sort());
  });

  it('has the default of its docstring', () => {
    const cells = new Map(rows);
    const literals = options.filter(({ fallback = '' }) => isLiteral(fallback));
    const wrong = literals.filter(
      ({ name, fallback = '' }) => !cells.get(name)?.split('`').includes(fallback),
    );
    expect(wrong).toEqual([]);
  });
});

it('has no table of options that is not tested', () => {
  const pages = readdirSync('docs', { recursive: true, encoding: 'utf8' }).filter(
    (name) => /\.md$/.test(name) && !/^(reference.api|\.vitepress)/.test(name),
  );
  const found = pages.flatMap((page) =>
    readFileSync(path.join('docs', page), 'utf8')
      .split('\n')
      .filter((line) => /^\| *option of /.test(line))
      .map((line) => `${page}: ${cellsOf(line)[0]}`),
  );
  const tested = TABLES.flatMap(({ head, pages: on }) => on.map((page) => `${page}: ${head}`));
  expect(found.sort()).toEqual(tested.sort());
});
