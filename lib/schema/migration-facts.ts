import { type QualifiedName, quoteIdentifier, quoteQualifiedName } from '../postgres/identifier.js';
import { SHAPE_TEXTS } from '../postgres/rehearsal.sql.js';
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
  const entries = checks.map(({ view, required, known, own, others, columns }) => [
    '      {',
    `        view: ${nameLiteral(view)},`,
    `        required: ${textList(required)},`,
    `        known: ${textList(known)},`,
    `        own: ${textList(own)},`,
    `        others: ${typeof others === 'string' ? JSON.stringify(others) : nameLiteral(others)},`,
    ...(columns === undefined ? [] : [`        columns: ${textList(columns)},`]),
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
    `    const facts${typed(`${FACT}[]`)} = await queryRunner.query(FACTS, [schemas, names]);`,
    `    await queryRunner.query('ROLLBACK TO SAVEPOINT facts');`,
    `    await queryRunner.query('RELEASE SAVEPOINT facts');`,
    `    const kept${typed('string[]')} = [];`,
    `    const wrong${typed('string[]')} = [];`,
    `    for (const check of checks) {`,
    `      const { view, required, known, own, others, columns } = check;`,
    `      const found = facts.filter(({ position }) => position === checks.indexOf(check));`,
    `      required`,
    `        .filter((text) => found.every((fact) => this.written(fact, view) !== text))`,
    `        .forEach((text) => wrong.push(\`gone: \${text}\`));`,
    `      const added = found.filter(`,
    `        (fact) =>`,
    `          ![...required, ...known].includes(this.written(fact, view)) &&`,
    `          !own.includes(\`\${fact.kind} \${fact.subject}\`) &&`,
    `          others !== 'stay' &&`,
    `          (others !== 'go' || fact.kind === 'dependent'),`,
    `      );`,
    `      const isGivable = ({ kind }${typed(FACT)}) =>`,
    `        typeof others !== 'string' && !['definition', 'owner', 'literal', 'dependent', 'other'].includes(kind);`,
    `      const given = added.filter(isGivable);`,
    `      added.filter((fact) => !isGivable(fact)).forEach((fact) => wrong.push(\`new: \${this.written(fact, view)}\`));`,
    `      given.forEach((fact) => typeof others !== 'string' && kept.push(this.written(fact, others)));`,
    `      if (columns !== undefined && given.length > 0) {`,
    `        const owner = found.filter(({ kind }) => kind === 'owner');`,
    `        wrong.push(...(await this.misfits(queryRunner, view, columns, [...owner, ...given])));`,
    `      }`,
    `    }`,
    `    this.stop(wrong);`,
    `    return kept;`,
    `  }`,
    '',
    `  /** Tries what has been added on an empty table with the columns that the view gets. */`,
    `  ${modifier}async misfits(queryRunner${typed('QueryRunner')}, view${typed(VIEW)}, columns${typed('string[]')}, facts${typed(`${FACT}[]`)})${typed('Promise<string[]>')} {`,
    `    const shape = { ...view, quoted: '${SHAPE_TEXTS.name}' };`,
    `    const attempt = async (statement${typed('string')}) => {`,
    `      await queryRunner.query('SAVEPOINT attempt');`,
    `      try {`,
    `        await queryRunner.query(statement);`,
    `        return undefined;`,
    `      } catch (error) {`,
    `        await queryRunner.query('ROLLBACK TO SAVEPOINT attempt');`,
    `        return error${isTypeScript ? ' as Error' : ''};`,
    `      }`,
    `    };`,
    `    const wrong${typed('string[]')} = [];`,
    `    await queryRunner.query('SAVEPOINT facts');`,
    `    await queryRunner.query('${SHAPE_TEXTS.create}');`,
    `    for (const column of columns) {`,
    `      await attempt('${SHAPE_TEXTS.addColumn}' + column);`,
    `    }`,
    `    for (const fact of facts.filter(({ kind }) => ['owner', 'column', 'index', 'statistics'].includes(kind))) {`,
    `      const statement = this.written(fact, shape)`,
    `        .replace(/^ALTER (MATERIALIZED )?VIEW /, '${SHAPE_TEXTS.alter}')`,
    `        .replace(/^CREATE STATISTICS ("([^"]|"")+"|\\w+)\\.("([^"]|"")+"|\\w+)/, '${SHAPE_TEXTS.createStatistics}');`,
    `      const error = await attempt(statement);`,
    `      if (error !== undefined) {`,
    `        wrong.push(\`new: \${this.written(fact, view)} (does not fit the columns that the view gets: \${error.message})\`);`,
    `      }`,
    `    }`,
    `    await queryRunner.query('ROLLBACK TO SAVEPOINT facts');`,
    `    await queryRunner.query('RELEASE SAVEPOINT facts');`,
    `    return wrong;`,
    `  }`,
    '',
    `  ${modifier}async keep(queryRunner${typed('QueryRunner')}, statements${typed('string[]')})${typed('Promise<void>')} {`,
    `    for (const statement of statements) {`,
    `      try {`,
    `        await queryRunner.query(statement);`,
    `      } catch (cause) {`,
    `        this.stop([\`new: \${statement} (fails on the changed view: \${(cause${isTypeScript ? ' as { code?: string }' : ''}).code})\`]);`,
    `      }`,
    `    }`,
    `  }`,
    '',
    `  ${modifier}stop(wrong${typed('string[]')}) {`,
    `    if (wrong.length > 0) {`,
    `      throw new Error(`,
    `        \`\${this.name}: the database is not as it was when this migration was written. Nothing has been changed. Write it again, or undo this:\\n\${wrong.join('\\n')}\`,`,
    `      );`,
    `    }`,
    `  }`,
    '',
    `  ${modifier}written({ kind, head, tail }${typed(FACT)}, { quoted, quotedSchema }${typed(VIEW)}) {`,
    `    return tail === null ? head : head + (kind === 'index setting' ? quotedSchema : quoted) + tail;`,
    `  }`,
  ];
}

const VIEW = '{ schema: string; name: string; quoted: string; quotedSchema: string }';
const CHECKS = `{ view: ${VIEW}; required: string[]; known: string[]; own: string[]; others: string | ${VIEW}; columns?: string[] }[]`;
const FACT =
  '{ position: number; kind: string; subject: string; head: string; tail: string | null }';
