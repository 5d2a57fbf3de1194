/** What is used of a `Tree` of @angular-devkit/schematics, which `nest add` brings along. */
export interface FileTree {
  exists(path: string): boolean;
  read(path: string): { toString(): string } | null;
  create(path: string, content: string): void;
  overwrite(path: string, content: string): void;
}

export interface AddContext {
  logger: { info(message: string): void; warn(message: string): void };
}

export interface AddOptions {
  /** @default 'src' */
  sourceRoot?: string;
}

const VIEW_FILE = 'relation-count.view';
const REGISTRATION = 'MaterializedViewsModule.forRoot({ views: [RelationCount] })';

/** It reads the catalog alone, so that it boots in any database. */
const VIEW = `import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';

/** An example: replace the query by one of yours. */
@MaterializedViewEntity({
  name: 'relation_count',
  expression: \`
    SELECT relkind::text AS kind, count(*)::int AS relations
    FROM pg_catalog.pg_class
    GROUP BY relkind\`,
  refresh: { cron: '*/10 * * * *' },
})
@Index(['kind'], { unique: true })
export class RelationCount {
  @ViewColumn() kind!: string;
  @ViewColumn() relations!: number;
}
`;

/** `nest add nestjs-materialized-views`: registers the module with a first view in the root module. */
export function nestAdd({ sourceRoot = 'src' }: AddOptions = {}) {
  return (tree: FileTree, { logger }: AddContext): FileTree => {
    const moduleFile = `${sourceRoot}/app.module.ts`;
    const text = tree.read(moduleFile)?.toString();
    if (text?.includes('MaterializedViewsModule')) {
      logger.info(`${moduleFile} has MaterializedViewsModule already. Nothing was changed.`);
      return tree;
    }
    const extended = text && withModule(text, isEsModule(tree) ? '.js' : '');
    if (extended === undefined || extended === '') {
      logger.warn(
        `${moduleFile} has no \`@Module\` with \`imports: [\`. Nothing was changed: add ScheduleModule.forRoot() and MaterializedViewsModule.forRoot({ views }) to the imports of your root module.`,
      );
      return tree;
    }
    const viewFile = `${sourceRoot}/${VIEW_FILE}.ts`;
    if (!tree.exists(viewFile)) {
      tree.create(viewFile, VIEW);
    }
    tree.overwrite(moduleFile, extended);
    if (!extended.includes('TypeOrmModule')) {
      logger.warn(
        `${moduleFile} has no TypeOrmModule. Add TypeOrmModule.forRoot({ type: 'postgres', url, autoLoadEntities: true }) before the application boots.`,
      );
    }
    return tree;
  };
}

function isEsModule(tree: FileTree): boolean {
  const manifest = tree.read('package.json')?.toString() ?? '{}';
  return (JSON.parse(manifest) as { type?: string }).type === 'module';
}

/** @returns `undefined` where the module is not written as `nest new` does */
function withModule(text: string, extension: string): string | undefined {
  const list = /(@Module\(\{[^]*?\bimports:\s*\[)(\s*)(\]?)/.exec(text);
  if (list === null) {
    return undefined;
  }
  const hasSchedule = text.includes('ScheduleModule.forRoot');
  const entries = [...(hasSchedule ? [] : ['ScheduleModule.forRoot()']), REGISTRATION].join(', ');
  const [whole, opening, space, closing] = list;
  const start = list.index;
  const added = `${opening}${entries}${closing === ']' ? ']' : `,${space === '' ? ' ' : space}`}`;
  const imports = [
    ...(hasSchedule ? [] : ["import { ScheduleModule } from '@nestjs/schedule';"]),
    "import { MaterializedViewsModule } from 'nestjs-materialized-views';",
    `import { RelationCount } from './${VIEW_FILE}${extension}';`,
  ];
  return `${imports.join('\n')}\n${text.slice(0, start)}${added}${text.slice(start + whole.length)}`;
}
