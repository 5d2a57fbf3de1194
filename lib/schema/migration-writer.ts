import { displayName } from '../postgres/identifier.js';
import { lockAgainstReaders } from '../postgres/view-lock.sql.js';
import { factsConstant, factsMethods, keepCall, lookCall } from './migration-facts.js';
import type { MigrationChecks, ViewCheck } from './migration-checks.js';
import { installation, refusal } from './migration-installation.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import {
  giveBackSettings,
  takeOwnSettings,
  withItsSettings,
} from '../postgres/own-settings.sql.js';
import { setLocalLockTimeout } from '../postgres/transaction.sql.js';
import { lockRefreshes } from './refresh-holdoff.js';
import type { PlanStep } from './plan-step.js';
import type { SchemaPlan } from './schema-plan.js';

export interface MigrationOptions {
  /** What the migration is about, in PascalCase or kebab-case: `ChangeDailyRevenue`. */
  name: string;
  /** Milliseconds since 1970. TypeORM orders migrations by it. @default now */
  timestamp?: number;
  /** @default 'ts' */
  language?: 'ts' | 'js';
  /** For JavaScript. @default 'esm' */
  module?: 'esm' | 'cjs';
}

export interface MigrationFile {
  fileName: string;
  source: string;
}

/** How long a statement of a migration waits for readers of a view. */
const MIGRATION_LOCK_TIMEOUT_MS = 5_000;

/** Writes a plan as a TypeORM migration. It is plain SQL, so it doesn't change when classes do. */
export function writeMigration(
  plan: SchemaPlan,
  checks: MigrationChecks,
  options: MigrationOptions & { stateSchema: string },
): MigrationFile {
  const { timestamp = Date.now(), language = 'ts' } = options;
  const className = `${pascalCase(options.name)}${timestamp}`;
  const text = { stateSchema: options.stateSchema, isTypeScript: language === 'ts', call };
  const refuses = refusal(plan.steps, text);
  const installs = installation(plan.steps, text);
  const up = plan.steps
    .filter(({ action }) => action !== 'install')
    .map((step) => ({ step, statements: step.statements }));
  const down = [...plan.steps].reverse().map((step) => ({ step, statements: step.undo }));
  const looks = checks.up.length + checks.down.length > 0;
  const source = [
    ...head(plan, className, { ...options, looks }),
    `  name = '${className}';`,
    '',
    ...method('up', { steps: up, checks: checks.up, refuses, installs }, options),
    '',
    ...method('down', { steps: down, checks: checks.down, refuses, installs: [] }, options),
    ...(looks ? factsMethods(language === 'ts') : []),
    '}',
    ...(isCommonJs(options) ? ['', `module.exports = { ${className} };`] : []),
    '',
  ].join('\n');
  return {
    fileName: `${timestamp}-${kebabCase(options.name)}.${extension(language, options)}`,
    source,
  };
}

function isCommonJs({ language, module }: MigrationOptions): boolean {
  return language === 'js' && module === 'cjs';
}

function extension(language: 'ts' | 'js', options: MigrationOptions): string {
  return isCommonJs(options) ? 'cjs' : language;
}

function head(
  plan: SchemaPlan,
  className: string,
  options: MigrationOptions & { looks: boolean },
): string[] {
  const isTypeScript = (options.language ?? 'ts') === 'ts';
  return [
    ...(isTypeScript
      ? ["import type { MigrationInterface, QueryRunner } from 'typeorm';", '']
      : []),
    ...(options.looks ? factsConstant(escapeTemplate) : []),
    '/**',
    ...plan.steps.map((step) => ` * ${comment(step)}`),
    ' *',
    ' * To be run in one transaction, as TypeORM does by default.',
    ' */',
    isTypeScript
      ? `export class ${className} implements MigrationInterface {`
      : `${isCommonJs(options) ? '' : 'export '}class ${className} {`,
  ];
}

function comment({ view, reason, lock: taken, rewritesRows }: PlanStep): string {
  const subject = view === undefined ? '' : `${view}: `;
  const rows = rewritesRows ? ' Its rows are computed.' : '';
  return `${subject}${reason}.${rows} Lock: ${taken}.`.replaceAll('*/', '* /');
}

function method(
  name: 'up' | 'down',
  {
    steps,
    checks,
    refuses,
    installs,
  }: { steps: WrittenStep[]; checks: ViewCheck[]; refuses: string[]; installs: string[] },
  { language = 'ts' }: MigrationOptions,
): string[] {
  const signature =
    language === 'ts'
      ? `async ${name}(queryRunner: QueryRunner): Promise<void> {`
      : `async ${name}(queryRunner) {`;
  const exchangeAt = steps.findIndex(
    ({ step: { stops = [] }, statements }) => stops.length > 0 && statements.length > 0,
  );
  return [
    `  ${signature}`,
    '    // Names resolve as in PostgreSQL itself, but for those in text of the application.',
    ...call(takeOwnSettings()),
    ...call(setLocalLockTimeout(MIGRATION_LOCK_TIMEOUT_MS)),
    ...refuses,
    '    // No refresh of these views meanwhile.',
    ...lockedViews(steps.map(({ step }) => step)).flatMap(call),
    ...(checks.length > 0 ? lookCall(checks) : []),
    ...installs,
    ...steps.flatMap((each, position) => [
      ...(position === exchangeAt ? stopReaders(name, steps.slice(position)) : []),
      ...(each.statements.length === 0
        ? []
        : [
            `    // ${comment(each.step)}`,
            ...each.statements.flatMap(withItsSettings).flatMap(call),
          ]),
    ]),
    ...call(giveBackSettings()),
    ...(checks.length > 0 ? keepCall() : []),
    '  }',
  ];
}

interface WrittenStep {
  step: PlanStep;
  statements: SqlStatement[];
}

/**
 * All at once, so that no reader of one view waits while the migration waits for readers of
 * another.
 */
function stopReaders(direction: 'up' | 'down', steps: WrittenStep[]): string[] {
  const names = steps.flatMap(({ step: { stops = [], name, stopsBack } }) =>
    direction === 'up' ? stops : (stopsBack ?? name ?? []),
  );
  const distinct = new Map(names.map((name) => [displayName(name), name]));
  return distinct.size === 0
    ? []
    : [
        '    // From here on readers wait. The locks are taken together, or not at all.',
        ...call(lockAgainstReaders([...distinct.values()], MIGRATION_LOCK_TIMEOUT_MS)),
      ];
}

function lockedViews(steps: PlanStep[]): SqlStatement[] {
  const names = steps.flatMap(({ name }) => name ?? []);
  return lockRefreshes([...new Map(names.map((name) => [displayName(name), name])).values()]);
}

function call({ text, values }: SqlStatement): string[] {
  const parameters = values === undefined ? '' : `, ${JSON.stringify(values)}`;
  return [`    await queryRunner.query(\`${escapeTemplate(text)}\`${parameters});`];
}

function escapeTemplate(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('`', '\\`').replaceAll('${', '\\${');
}

function words(name: string): string[] {
  return name.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+/g) ?? ['views'];
}

function pascalCase(name: string): string {
  return words(name)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}

function kebabCase(name: string): string {
  return words(name)
    .map((word) => word.toLowerCase())
    .join('-');
}
