import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

/** Of no schema of its own: each tenant has such a table. */
@Entity('orders')
export class Order {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column('date')
  day!: string;

  @Column('int')
  amount!: number;
}
