import { Client } from 'pg';

/** Drops and creates the table that the views read, with a few rows. In your application, a migration creates it. */
export async function createSales(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('DROP SCHEMA IF EXISTS sample_worker CASCADE');
    await client.query('CREATE SCHEMA sample_worker');
    await client.query('CREATE TABLE sample_worker.sale (product text, amount integer)');
  });
  await sell(url, 'apple', 3);
  await sell(url, 'pear', 2);
}

export async function sell(url: string, product: string, amount: number): Promise<void> {
  await withClient(url, (client) =>
    client.query('INSERT INTO sample_worker.sale VALUES ($1, $2)', [product, amount]),
  );
}

async function withClient(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
