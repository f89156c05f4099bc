export { ipv4At, ipv4FromText, ipv4ToText, NO_IPV4 } from './ipv4.ts';
export { hostFromIpv6Bytes, ipv4Mapped, ipv6FromText, ipv6ToText } from './ipv6.ts';
export * from './peer-address.ts';
export * from './classify.ts';
export * from './network.ts';
export * from './address-list.ts';
