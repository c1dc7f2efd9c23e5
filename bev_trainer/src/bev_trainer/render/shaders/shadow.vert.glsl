#include pose.glsl
in vec3 in_position;
in vec4 in_extra;
in vec4 place;
in vec4 size;
uniform vec3 map;  // clip xy = sheared xy * map.x + map.yz

void main() {
    int limb = int(in_extra.z * 255.0 + 0.5);
    vec3 p = swung(in_position * size.xyz, limb_turn(limb, size.w), PIVOT[limb] * size.z);
    vec3 local = turned(p, place.zw) + vec3(place.xy, 0.0);
    vec2 ground = local.xy - shear_.xy * local.z;
    gl_Position = vec4(ground * map.x + map.yz, 1.0 - 2.0 * local.z / SHADOW_CEILING, 1.0);
}
