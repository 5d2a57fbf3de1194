import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

/** Files that log what their callers pass. The callers are checked instead. */
const FORWARDERS = ['rare-warning.ts', 'failure-log.ts', 'refresh.reporter.ts'];

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join(directory, name));
}

/** The output of `nest add` isn't an application's log. */
const isOfApplication = (name: string): boolean => !name.startsWith(path.join('lib', 'schematics'));

const sources = files('lib')
  .filter(isOfApplication)
  .map((name) =>
    ts.createSourceFile(name, readFileSync(name, 'utf8'), ts.ScriptTarget.ES2022, true),
  );

/** The fixed parts of a text. */
function parts(node: ts.Node): string[] {
  if (ts.isStringLiteralLike(node)) {
    return [node.text];
  }
  return ts.isTemplateExpression(node)
    ? [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)]
    : [];
}

function each(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => each(child, visit));
}

function collect<Found>(find: (node: ts.Node) => Found[]): Found[] {
  const found: Found[] = [];
  sources.forEach((source) => each(source, (node) => found.push(...find(node))));
  return found;
}

const page = readFileSync('docs/troubleshooting.md', 'utf8');
const headings = [...page.matchAll(/^### (.*)$/gm)].map(([, text = '']) => text);
const codes = headings.filter((text) => text.startsWith('`MV_')).map((text) => text.slice(1, -1));
const messages = headings.filter((text) => !text.startsWith('`'));

/** The fixed parts of each heading that quotes a message. */
const quoted = messages.map((text) =>
  text
    .split('…')
    .map((part) => part.trim())
    .filter((part) => part.length > 2),
);

/** The argument that is logged as a warning or an error; `failed` of a `FailureLog` has it third. */
function loggedArgument({ expression, arguments: given }: ts.CallExpression): ts.Node | undefined {
  if (!ts.isPropertyAccessExpression(expression)) {
    return undefined;
  }
  const owner = expression.expression.getText();
  const method = expression.name.text;
  if (['warn', 'error'].includes(method) && /(log|logger|rareWarning|lost)$/i.test(owner)) {
    return given[0];
  }
  return method === 'failed' && /(retries|failures)$/.test(owner) ? given[2] : undefined;
}

const functions = new Map<string, ts.Node>();
collect((node) => {
  if (ts.isFunctionDeclaration(node) && node.name !== undefined) {
    functions.set(node.name.text, node);
  }
  return [];
});

/** What a variable is set to; `undefined` for a parameter. */
function initializerOf(name: ts.Identifier): ts.Node | undefined {
  let found: ts.Node | undefined;
  each(name.getSourceFile(), (node) => {
    if (ts.isVariableDeclaration(node) && node.name.getText() === name.text) {
      found = node.end < name.pos ? node.initializer : found;
    }
  });
  return found;
}

/** The texts of an expression, of the variable that it is, or of the function that it calls. */
function textOf(node: ts.Node): string {
  if (ts.isIdentifier(node)) {
    const initializer = initializerOf(node);
    return initializer === undefined ? '' : textOf(initializer);
  }
  if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
    const body = functions.get(node.expression.text);
    return body === undefined ? '' : textsIn(body);
  }
  return textsIn(node);
}

/** All texts that are logged as a warning or an error. */
function loggedTexts(): { text: string; at: string }[] {
  return collect((node) => {
    const file = path.basename(node.getSourceFile().fileName);
    if (ts.isPropertyAssignment(node) && node.name.getText() === 'complaint') {
      return [{ text: textOf(node.initializer), at: `${file}: ${node.getText()}` }];
    }
    const logged = ts.isCallExpression(node) ? loggedArgument(node) : undefined;
    if (logged === undefined) {
      return [];
    }
    const text = textOf(logged);
    const isForwarded = text === '' && FORWARDERS.includes(file) && ts.isIdentifier(logged);
    return isForwarded ? [] : [{ text, at: `${file}: ${logged.getText().slice(0, 60)}` }];
  });
}

function textsIn(node: ts.Node): string {
  const texts: string[] = [];
  each(node, (inner) => texts.push(...parts(inner)));
  return texts.join(' … ');
}

describe('docs/troubleshooting.md', () => {
  const everyText = collect(parts).map((part) => part.replaceAll('\\`', '`'));

  it('has each code of an error in the source once, and no other', () => {
    const inSource = new Set(everyText.filter((text) => /^MV_[A-Z_]+$/.test(text)));
    expect([...codes].sort()).toEqual([...inSource].sort());
  });

  it.each(messages.map((text, at) => [text, quoted[at] ?? []] as const))(
    'quotes what the source says: %s',
    (_, fixed) => {
      expect(fixed.length).toBeGreaterThan(0);
      for (const part of fixed) {
        expect(everyText.some((text) => text.includes(part)) ? part : `not found: ${part}`).toBe(
          part,
        );
      }
    },
  );

  it('has each warning and error that is logged', () => {
    const missing = loggedTexts().filter(
      ({ text }) => !quoted.some((fixed) => fixed.some((part) => text.includes(part))),
    );
    expect(missing.map(({ at }) => at)).toEqual([]);
  });

  it('finds what is logged by way of a variable, a function or the log of failures', () => {
    const texts = loggedTexts().map(({ text }) => text);
    for (const part of ['Refreshed by graph in ', 'Not pruned: ', 'Attempt ', 'Tick ']) {
      expect(texts.some((text) => text.includes(part)) ? part : `not found: ${part}`).toBe(part);
    }
  });
});

describe('docs/guide/schema-commands.md', () => {
  it('has each code of doctor, and no other', () => {
    const source = sources.find(({ fileName }) => fileName.endsWith('finding.ts'));
    const inSource = /FindingCode =([^;]+);/.exec(source?.text ?? '')?.[1]?.match(/[a-z-]+/g) ?? [];
    const rows = readFileSync('docs/guide/schema-commands.md', 'utf8').match(/^\| `.*$/gm) ?? [];
    const documented = rows
      .map((row) => row.split('|')[1] ?? '')
      .filter((cell) => !cell.includes('--'))
      .flatMap((cell) => [...cell.matchAll(/`([a-z-]+)`/g)].map(([, code = '']) => code));
    expect(inSource.length).toBeGreaterThan(20);
    expect(documented.sort()).toEqual([...inSource].sort());
  });
});
