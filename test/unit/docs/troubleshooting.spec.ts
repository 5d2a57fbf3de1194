import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

/** What a message is put together from elsewhere: its parts are found by the constant or function that has them. */
const PASSED_ON = ['message', 'summary', 'idle', 'unpruned'];

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join(directory, name));
}

/** What `nest add` says is no log of an application. */
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

/** The longest fixed parts of each heading of a warning. */
const quoted = messages.map((text) =>
  text
    .split('…')
    .map((part) => part.trim())
    .filter((part) => part.length > 2),
);

const isLogged = (call: ts.CallExpression): boolean =>
  ts.isPropertyAccessExpression(call.expression) &&
  ['warn', 'error'].includes(call.expression.name.text) &&
  /(log|logger|rareWarning|lost|this\.log)$/i.test(call.expression.expression.getText());

/** Texts that go to the log as a warning or an error: written there, or by a function that is called there. */
function loggedTexts(): { text: string; at: string }[] {
  const named = new Map<string, ts.Node>();
  collect((node) => {
    if (ts.isFunctionDeclaration(node) && node.name !== undefined) {
      named.set(node.name.text, node);
    }
    return [];
  });
  return collect((node) => {
    if (ts.isPropertyAssignment(node) && node.name.getText() === 'complaint') {
      return ts.isIdentifier(node.initializer)
        ? []
        : [{ text: textsIn(node.initializer), at: node.getText() }];
    }
    if (!ts.isCallExpression(node) || !isLogged(node)) {
      return [];
    }
    const argument = node.arguments[0];
    if (argument === undefined) {
      return [];
    }
    const at = `${node.getSourceFile().fileName}: ${argument.getText().slice(0, 60)}`;
    if (ts.isCallExpression(argument) && ts.isIdentifier(argument.expression)) {
      const body = named.get(argument.expression.text);
      return body === undefined ? [{ text: '', at }] : [{ text: textsIn(body), at }];
    }
    return ts.isIdentifier(argument) && PASSED_ON.includes(argument.text)
      ? []
      : [{ text: textsIn(argument), at }];
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
});
