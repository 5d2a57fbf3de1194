import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

/** Without a schema, because each tenant's schema has such a table. */
@Entity('orders')
export class Order {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column('date')
  day!: string;

  @Column('int')
  amount!: number;
}
