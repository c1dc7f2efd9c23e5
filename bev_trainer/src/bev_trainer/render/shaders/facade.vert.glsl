#include pose.glsl
in vec3 in_position;
in vec4 in_normal;
in vec4 in_color;
in vec4 place;
in vec4 size;
in vec4 tint;
in vec4 label;

flat out vec4 f_label;
#if COLOUR
out vec3 f_point;
out vec2 f_wall;          // bays along the wall, metres up
flat out vec3 f_normal;
flat out vec4 f_paint;    // reflectance, seed
flat out vec4 f_light;    // ambient, sun
flat out vec4 f_window;   // width of a bay, half width and height of its window, wall's height
flat out vec4 f_style;    // 1 for: glass front, bricks, shops; brightness of frames

const float FLOOR_M = 3.1;
#endif

void main() {
    vec3 p = in_position * size.xyz;
    vec3 local = turned(p, place.zw) + vec3(place.xy, 0.0);
    gl_Position = clip_T_local * vec4(local, 1.0);
    f_label = label;
#if COLOUR
    vec3 m = unit_normal(in_normal);
    vec3 n = normalize(turned(m, place.zw));
    bool along_x = abs(m.y) > abs(m.x);
    float wall = along_x ? size.x : size.y;
    float seed = floor(tint.a * 255.0 + 0.5);
    vec3 dice = fract(seed * vec3(0.618034, 0.414214, 0.732051));
    float glassy = float(dice.x > 0.72 && size.z > 12.0);
    f_style = vec4(glassy, float(glassy == 0.0 && dice.x < 0.34), float(dice.y > 0.45),
                   dice.z > 0.5 ? 0.55 : 0.16);
    // Whole numbers of bays along the wall.
    float wanted = glassy > 0.0 ? 1.6 : mix(2.4, 3.6, dice.z);
    float bays = max(floor(wall / wanted), 1.0);
    float bay = wall / bays;
    vec2 half_size = glassy > 0.0 ? vec2(bay * 0.5 - 0.06, 1.30)
        : vec2(bay * mix(0.20, 0.34, dice.y), mix(0.65, 0.85, dice.z));
    f_window = vec4(bay, half_size, size.z);
    f_wall = vec2((along_x ? p.x : p.y) / bay + 0.5 * bays, p.z);
    vec3 root = mix(in_color.rgb, tint.rgb, in_color.a);
    f_paint = vec4(root * root, seed);
    if (f_style.y > 0.0) f_paint.rgb = mix(f_paint.rgb, vec3(0.25, 0.105, 0.065), 0.75);
    if (glassy > 0.0) f_paint.rgb = vec3(0.10, 0.11, 0.12);
    f_light = vec4(mix(bounce_rgb_.rgb, sky_rgb_.rgb, 0.5 + 0.5 * n.z), max(dot(n, sun_.xyz), 0.0));
    f_point = local;
    f_normal = n;
#endif
}
