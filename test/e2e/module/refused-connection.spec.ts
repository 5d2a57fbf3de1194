import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { Client } from 'pg';
import { ViewColumn } from 'typeorm';
import {
  ConnectionFailedError,
  MaterializedViewEntity,
  MaterializedViewsModule,
  RefreshService,
  SchemaService,
  SchemaSyncError,
  StatusError,
} from '../../../lib/index.js';
import { type PostgresServer, startPostgres } from '../../../sample/support/postgres-server.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

@MaterializedViewEntity({
  name: 'Sold "today"',
  schema: 'my shop',
  expression: 'SELECT 1 AS one',
  refresh: { cron: '* * * * * *' },
})
class Sold {
  @ViewColumn() one!: number;
}

const ROLE = 'refused';
const PASSWORD = 'before';

interface Refusal {
  what: string;
  code: string;
  /** The administrator's statement. `$db` is the database. */
  breaks: string;
  mends: string;
  hint: RegExp;
}

const REFUSALS: Refusal[] = [
  {
    what: 'the password was changed',
    code: '28P01',
    breaks: `ALTER ROLE ${ROLE} PASSWORD 'after'`,
    mends: `ALTER ROLE ${ROLE} PASSWORD '${PASSWORD}'`,
    hint: /password/,
  },
  {
    what: 'the password has expired',
    code: '28P01',
    breaks: `ALTER ROLE ${ROLE} VALID UNTIL '2020-01-01'`,
    mends: `ALTER ROLE ${ROLE} VALID UNTIL 'infinity'`,
    hint: /password/,
  },
  {
    what: 'the role may not log in',
    code: '28000',
    breaks: `ALTER ROLE ${ROLE} NOLOGIN`,
    mends: `ALTER ROLE ${ROLE} LOGIN`,
    hint: /pg_hba/,
  },
  {
    what: 'the database has another name',
    code: '3D000',
    breaks: 'ALTER DATABASE $db RENAME TO elsewhere',
    mends: 'ALTER DATABASE elsewhere RENAME TO $db',
    hint: /does not exist/,
  },
  {
    what: 'the right to connect is gone',
    code: '42501',
    breaks: 'REVOKE CONNECT ON DATABASE $db FROM PUBLIC',
    mends: 'GRANT CONNECT ON DATABASE $db TO PUBLIC',
    hint: /CONNECT/,
  },
  {
    what: 'the database takes no connections',
    code: '55000',
    breaks: 'ALTER DATABASE $db ALLOW_CONNECTIONS false',
    mends: 'ALTER DATABASE $db ALLOW_CONNECTIONS true',
    hint: /^$/,
  },
  {
    what: 'the role has no connection left',
    code: '53300',
    breaks: `ALTER ROLE ${ROLE} CONNECTION LIMIT 0`,
    mends: `ALTER ROLE ${ROLE} CONNECTION LIMIT -1`,
    hint: /poolSize/,
  },
];

describe('a connection that the server refuses', () => {
  let server: PostgresServer;
  let admin: Client;
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeAll(async () => {
    server = await startPostgres(process.env.POSTGRES_PACKAGE);
    database = await TestDatabase.create(server.url);
    admin = new Client({ connectionString: server.url });
    await admin.connect();
    await admin.query(`CREATE ROLE ${ROLE} LOGIN PASSWORD '${PASSWORD}'`);
    await admin.query(`GRANT CREATE ON DATABASE ${database.name} TO ${ROLE}`);
    await askForPasswords(admin);
    // A database with an open session cannot be renamed.
    await database.client.end();
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await admin.end();
    await server.stop();
  });

  const start = async (scheduling: boolean): Promise<RefreshService> => {
    const url = new URL(database.directUrl);
    url.username = ROLE;
    url.password = PASSWORD;
    app = await boot(
      typeOrm(database, { url: url.href, autoLoadEntities: false, entities: [Sold] }),
      ScheduleModule.forRoot(),
      MaterializedViewsModule.forRoot({ views: [Sold], scheduling, sweepInterval: 100 }),
    );
    return app.get(RefreshService);
  };

  /** Ends the role's sessions before and after the statement: one may have begun in between. */
  const administer = async (statement: string): Promise<void> => {
    for (let isDone = false; !isDone;) {
      await endSessions();
      isDone = await admin.query(statement.replace('$db', database.name)).then(
        () => true,
        (error: { code?: string }) => {
          // A terminated session does not end at once, and until then the database cannot be renamed.
          if (error.code !== '55006') {
            throw error;
          }
          return false;
        },
      );
    }
    await endSessions();
  };

  const endSessions = async (): Promise<void> => {
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${ROLE}'`,
    );
  };

  /** Tries until it is refused: a session that was accepted just before the change may appear just after it. */
  const refusal = async (ask: () => Promise<unknown>): Promise<unknown> => {
    for (;;) {
      try {
        await ask();
      } catch (error) {
        return error;
      }
      await endSessions();
    }
  };

  it.each(REFUSALS)(
    'fails as a connection error, is retried and works once fixed: $what ($code)',
    async ({ code, breaks, mends, hint }) => {
      const refreshes = await start(false);
      await refreshes.refresh(Sold);
      const retried = new Promise<string>((resolve) => {
        jest.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => {
          if (String(message).startsWith('Attempt')) {
            resolve(String(message));
          }
        });
      });
      await administer(breaks);
      const status = await refusal(() => refreshes.status(Sold));
      expect(status).toBeInstanceOf(StatusError);
      const running = await refusal(() => refreshes.running());
      const paused = await refusal(() => refreshes.pause(Sold));
      expect(paused).toBeInstanceOf(ConnectionFailedError);
      const differing = await refusal(() => app?.get(SchemaService).diff() as Promise<unknown>);
      expect(differing).toBeInstanceOf(SchemaSyncError);
      const outcome = refreshes.refresh(Sold).catch((error: unknown) => error);
      const warning = await retried;
      const said = /the connection failed or was lost|the server refused the connection/;
      for (const message of [status, running, paused, differing].map(
        (error) => (error as Error).message,
      )) {
        expect(message).toMatch(said);
        expect(message).toContain(code);
        expect(said.exec(warning)?.[0]).toBe(said.exec(message)?.[0]);
      }
      expect((status as StatusError).hint ?? '').toMatch(hint);
      expect((paused as ConnectionFailedError).hint).toBe((status as StatusError).hint);
      expect((differing as SchemaSyncError).hint).toBe((status as StatusError).hint);
      await administer(mends);
      expect(await outcome).toMatchObject({ outcome: 'refreshed' });
    },
  );

  it('does not end a schedule', async () => {
    const refreshes = await start(true);
    const failed = new Promise((resolve) => {
      jest.spyOn(Logger.prototype, 'warn').mockImplementation(resolve);
    });
    await administer(`ALTER ROLE ${ROLE} PASSWORD 'after'`);
    await failed;
    const { rows } = await admin.query<{ now: Date }>('SELECT clock_timestamp() AS now');
    await administer(`ALTER ROLE ${ROLE} PASSWORD '${PASSWORD}'`);
    for (;;) {
      const { lastSuccess, failureCount, notBefore } = await refreshes.status(Sold);
      if (lastSuccess && rows[0] && lastSuccess.startedAt > rows[0].now) {
        expect({ failureCount, notBefore }).toEqual({ failureCount: 0, notBefore: undefined });
        return;
      }
    }
  });
});

/** Makes the server ask for the role's password: test servers trust everybody. */
async function askForPasswords(admin: Client): Promise<void> {
  const { rows } = await admin.query<{ hba_file: string }>('SHOW hba_file');
  await admin.query(
    `COPY (VALUES ('host all ${ROLE} all password'), ('host all all all trust')) TO '${rows[0]?.hba_file}'`,
  );
  await admin.query('SELECT pg_reload_conf()');
}
