import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateOrders1767225600000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(
      `CREATE TABLE sample_migrations."order" (id serial PRIMARY KEY, day date NOT NULL, amount numeric NOT NULL)`,
    );
    await queryRunner.query(
      `INSERT INTO sample_migrations."order" (day, amount)
       VALUES ('2026-01-01', 5), ('2026-01-01', 7), ('2026-01-02', 3)`,
    );
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`DROP TABLE sample_migrations."order"`);
  }
}
