#include pose.glsl
in vec3 in_position;
in vec4 in_normal;
in vec4 in_color;     // rgb: root of reflectance; a: share of the instance's colour
in vec4 in_extra;     // gloss, glow, limb
in vec4 place;        // x, y, cos yaw, sin yaw
in vec4 size;         // length, width, height, sine of the walking cycle
in vec4 tint;         // rgb: root of reflectance; a: seed
in vec4 label;        // id low, id high, class, flags

flat out vec4 f_label;
#if COLOUR
out vec3 f_point;
out vec3 f_normal;
out vec4 f_light;     // ambient, and a: sun
flat out vec4 f_paint;  // reflectance and gloss
flat out vec3 f_glow;
#endif
#if LEAVES
out vec3 f_crown;
#endif

float flag(float flags, float bit) {
    return step(0.5, fract(floor(flags / bit) * 0.5) * 2.0);
}

#if COLOUR
// Radiance of lamps; flags: 1 brakes, 2 lamps, 4 red, 8 yellow, 16 green.
vec3 glowing(float glow, float flags) {
    float lamps = flag(flags, 2.0);
    float brakes = flag(flags, 1.0);
    vec3 shine = vec3(0.0);
    shine += float(glow == 1.0) * lamps * vec3(4.0, 3.9, 3.5);
    shine += float(glow == 2.0) * vec3(1.0, 0.03, 0.02) * (0.55 * lamps + 2.6 * brakes);
    shine += float(glow == 3.0) * lamps * vec3(6.0, 4.6, 2.9);
    shine += float(glow == 4.0) * flag(flags, 4.0) * vec3(3.2, 0.10, 0.05);
    shine += float(glow == 5.0) * flag(flags, 8.0) * vec3(3.2, 1.5, 0.05);
    shine += float(glow == 6.0) * flag(flags, 16.0) * vec3(0.05, 2.4, 1.1);
    return shine / sqrt(sky_rgb_.w);
}
#endif

void main() {
    int limb = int(in_extra.z * 255.0 + 0.5);
    vec2 turn = limb_turn(limb, size.w);
    vec3 p = swung(in_position * size.xyz, turn, PIVOT[limb] * size.z);
    vec3 local = turned(p, place.zw) + vec3(place.xy, 0.0);
    gl_Position = clip_T_local * vec4(local, 1.0);
    f_label = label;
#if COLOUR
    vec3 n = normalize(turned(swung(unit_normal(in_normal), turn, 0.0), place.zw));
    vec3 root = mix(in_color.rgb, tint.rgb, in_color.a);
    f_paint = vec4(root * root, in_extra.x);
    float up = 0.5 + 0.5 * n.z;
    // What stands on the ground is darker near it.
    float open = mix(0.62, 1.0, clamp(local.z * 1.1, 0.0, 1.0));
    f_light = vec4(mix(bounce_rgb_.rgb, sky_rgb_.rgb, up) * open, max(dot(n, sun_.xyz), 0.0));
    f_point = local;
    f_normal = n;
    f_glow = glowing(floor(in_extra.y * 255.0 + 0.5), floor(label.w * 255.0 + 0.5));
#if LEAVES
    // Leaves let light through, and hide each other inside the crown.
    f_crown = in_position * size.xyz + vec3(tint.a * 37.0, tint.a * 11.0, 0.0);
    f_light.a = 0.30 + 0.70 * f_light.a;
    f_light *= 0.55 + 0.45 * clamp(in_position.z * 1.3, 0.0, 1.0);
#endif
#endif
}
