import { total, type Row } from './panel.ts';

/** The row "The node". */
export const NODE: Row = {
  title: 'The node',
  panels: [
    {
      title: 'Links',
      description: 'Neighbours by role, and the slots that there are.',
      unit: 'short',
      queries: [
        { expr: 'sum by (role) (filbert_connections_links)', legend: '{{role}}' },
        { expr: 'max by (role) (filbert_connections_slots)', legend: '{{role}} slots' },
      ],
    },
    {
      title: 'Traffic',
      description: 'Bytes from and to peers.',
      unit: 'Bps',
      queries: [
        total('filbert_connections_received_bytes_total', 'received'),
        total('filbert_connections_sent_bytes_total', 'sent'),
      ],
    },
    {
      title: 'Messages',
      description: 'Messages from and to peers.',
      unit: 'ops',
      queries: [
        total('filbert_connections_received_messages_total', 'received'),
        total('filbert_connections_sent_messages_total', 'sent'),
      ],
    },
  ],
};
