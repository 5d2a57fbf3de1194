import { type QualifiedName, quoteIdentifier, quoteQualifiedName } from '../postgres/identifier.js';
import { VIEW_FACTS } from '../postgres/view-facts.sql.js';
import type { ViewCheck } from './migration-checks.js';

/*
 * The part of a migration that reads, when it runs, what the database has then. It is written out, so that the
 * migration doesn't import the library.
 */

/** The query, as a constant of the file. */
export function factsConstant(escape: (text: string) => string): string[] {
  return [
    '/** What views have, as the statements that give it to them: `head`, the name of the view, `tail`. */',
    `const FACTS = \`${escape(VIEW_FACTS)}\`;`,
    '',
  ];
}

/** The call that reads, before anything is changed. */
export function lookCall(checks: readonly ViewCheck[]): string[] {
  return [
    '    // What has been added since this was written is kept; what is gone or was changed stops it.',
    `    const kept = await this.look(queryRunner, ${checkList(checks)});`,
  ];
}

/** The call that restores what was found and would be lost. */
export function keepCall(): string[] {
  return ['    await this.keep(queryRunner, kept);'];
}

function checkList(checks: readonly ViewCheck[]): string {
  const entries = checks.map(({ view, required, known, own, others }) => [
    '      {',
    `        view: ${nameLiteral(view)},`,
    `        required: ${textList(required)},`,
    `        known: ${textList(known)},`,
    `        own: ${textList(own)},`,
    `        others: ${typeof others === 'string' ? JSON.stringify(others) : nameLiteral(others)},`,
    '      },',
  ]);
  return ['[', ...entries.flat(), '    ]'].join('\n');
}

function nameLiteral({ schema, name }: QualifiedName): string {
  return JSON.stringify({
    schema,
    name,
    quoted: quoteQualifiedName({ schema, name }),
    quotedSchema: quoteIdentifier(schema),
  });
}

function textList(texts: readonly string[]): string {
  return texts.length === 0
    ? '[]'
    : `[\n${texts.map((text) => `          ${JSON.stringify(text)},\n`).join('')}        ]`;
}

/** The methods that these calls use. */
export function factsMethods(isTypeScript: boolean): string[] {
  const typed = (type: string): string => (isTypeScript ? `: ${type}` : '');
  const modifier = isTypeScript ? 'private ' : '';
  return [
    '',
    `  ${modifier}async look(queryRunner${typed('QueryRunner')}, checks${typed(CHECKS)})${typed('Promise<string[]>')} {`,
    `    const schemas = checks.map(({ view }) => view.schema);`,
    `    const names = checks.map(({ view }) => view.name);`,
    `    await queryRunner.query('SAVEPOINT facts');`,
    `    const facts${typed(FACTS)} = await queryRunner.query(FACTS, [schemas, names]);`,
    `    await queryRunner.query('ROLLBACK TO SAVEPOINT facts');`,
    `    await queryRunner.query('RELEASE SAVEPOINT facts');`,
    `    const kept${typed('string[]')} = [];`,
    `    const wrong${typed('string[]')} = [];`,
    `    const written = ({ kind, head, tail }${typed(`${FACTS}[number]`)}, { quoted, quotedSchema }${typed(VIEW)}) =>`,
    `      tail === null ? head : head + (kind === 'index setting' ? quotedSchema : quoted) + tail;`,
    `    checks.forEach(({ view, required, known, own, others }, position) => {`,
    `      const found = facts`,
    `        .filter((fact) => fact.position === position)`,
    `        .map((fact) => ({`,
    `          subject: \`\${fact.kind} \${fact.subject}\`,`,
    `          text: written(fact, view),`,
    `          given: typeof others === 'string' ? undefined : written(fact, others),`,
    `          isGivable: !['definition', 'owner', 'literal', 'other'].includes(fact.kind),`,
    `        }));`,
    `      required`,
    `        .filter((text) => found.every((fact) => fact.text !== text))`,
    `        .forEach((text) => wrong.push(\`gone: \${text}\`));`,
    `      found`,
    `        .filter(({ text }) => ![...required, ...known].includes(text))`,
    `        .filter(({ subject }) => others !== 'stay' && !own.includes(subject))`,
    `        .forEach(({ text, given, isGivable }) =>`,
    `          isGivable && given !== undefined ? kept.push(given) : wrong.push(\`new: \${text}\`),`,
    `        );`,
    `    });`,
    `    if (wrong.length > 0) {`,
    `      throw new Error(`,
    `        \`\${this.name}: the database is not as it was when this migration was written. Nothing has been changed. Write it again, or undo this:\\n\${wrong.join('\\n')}\`,`,
    `      );`,
    `    }`,
    `    return kept;`,
    `  }`,
    '',
    `  ${modifier}async keep(queryRunner${typed('QueryRunner')}, statements${typed('string[]')})${typed('Promise<void>')} {`,
    `    for (const statement of statements) {`,
    `      await queryRunner.query(statement);`,
    `    }`,
    `  }`,
  ];
}

const VIEW = '{ schema: string; name: string; quoted: string; quotedSchema: string }';
const CHECKS = `{ view: ${VIEW}; required: string[]; known: string[]; own: string[]; others: string | ${VIEW} }[]`;
const FACTS =
  '{ position: number; kind: string; subject: string; head: string; tail: string | null }[]';
